"""Where remote files are: the web, and object stores. Each place turns a name into an address that answers to byte ranges.

Object stores are asked by links that their own library signs (``s3fs``, ``gcsfs``: keys, profiles, roles), so that all bytes
come over one client. Several ranges in one request are for web servers only: object stores do not answer to them.
"""

import fnmatch
import re
from typing import Any, NamedTuple, Protocol

from tsogrid.config import Storage
from tsogrid.errors import ConfigError, ForbiddenError, InputError, MissingError, SourceFailingError
from tsogrid.io.remote_names import parts_of, scheme_of, shown

SIGNED_FOR = 3600  # seconds
_MAGIC = re.compile(r"[*?\[]")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")


class Address(NamedTuple):
    """What is asked: a URL, the headers that the place wants to see, and whether the URL must go out as it stands."""

    url: str
    headers: dict[str, str]
    encoded: bool = True


class Place(Protocol):
    """A kind of place."""

    several: bool  # whether it may answer to several ranges at once

    async def address(self, path: str) -> Address:
        """Say where to ask for a file; called in the event loop."""
        ...

    def listed(self, path: str) -> list[str]:
        """Name the files that a pattern fits, or that lie in a folder."""
        ...


class Web:
    """``https://`` and ``http://``."""

    several = True

    async def address(self, path: str) -> Address:
        """Take a URL as it stands; what may not stand in one is quoted on the way."""
        if not parts_of(path).hostname:
            raise InputError(f"{shown(path)}: expected https://host/path, found no host in it")
        return Address(path, {}, encoded="%" in path and _PLAIN.fullmatch(path) is not None)

    def listed(self, path: str) -> list[str]:
        """Refuse: a web server has no folders."""
        raise InputError(
            f"{shown(path)}: expected the URL of one file, found a folder or a pattern: a web server tells no list of its "
            "files. Name each one (in input.files, one a line), or take the same files from an object store (s3://)."
        )


class _ObjectStore:
    several = False

    def __init__(self, system: Any, scheme: str) -> None:
        self.system = system
        self.scheme = scheme

    def listed(self, path: str) -> list[str]:
        """List a folder, or what a pattern fits; folders in it are left out.

        Raises
        ------
        MissingError, ForbiddenError, SourceFailingError
        """
        bucket, _, key = path.partition("://")[2].partition("/")
        if not bucket or _MAGIC.search(bucket):
            raise InputError(f"{path}: expected {self.scheme}://bucket/…, with a pattern within one bucket only")
        fixed = _MAGIC.split(key)[0]
        folder = f"{bucket}/{fixed if fixed == key else fixed.rpartition('/')[0]}".rstrip("/")
        try:
            found = self.system.glob(f"{bucket}/{key}") if fixed != key else []
            if not found:  # for a pattern too: whether its folder is there
                inside = self.system.ls(folder, detail=True, refresh=True)
                files = [each["name"] for each in inside if each["type"] == "file" and not each["name"].endswith("/")]
                found = files if fixed == key else []
        except FileNotFoundError:
            raise MissingError(f"{path}: no such bucket or folder ({self.scheme}://{folder})") from None
        except ValueError as error:
            raise InputError(f"{path}: expected a pattern, found one that cannot be used ({error})") from None
        except Exception as error:  # each provider's library has its own
            raise _worded(path, error) from None
        return [f"{self.scheme}://{name}" for name in found]


class S3(_ObjectStore):
    """``s3://``: Amazon's object store, and all that speak its language."""

    def __init__(self, storage: Storage) -> None:
        import s3fs

        settings: dict[str, Any] = {
            "connect_timeout": storage.timeout,
            "read_timeout": storage.timeout,
            "retries": {"max_attempts": storage.retries, "mode": "standard"},
        }
        if not storage.anon:
            settings["signature_version"] = "s3v4"
        super().__init__(
            s3fs.S3FileSystem(
                anon=storage.anon,
                endpoint_url=storage.endpoint_url,
                profile=storage.profile,
                client_kwargs={"region_name": storage.region} if storage.region else {},
                config_kwargs=settings,
                skip_instance_cache=True,
                use_listings_cache=False,
            ),
            "s3",
        )

    async def address(self, path: str) -> Address:
        """Sign a link to an object."""
        bucket, _, key = path.partition("://")[2].partition("/")
        if not bucket or not key:
            raise InputError(f"{path}: expected s3://bucket/key, found no {'key' if bucket else 'bucket'} in it")
        try:
            signed = await self.system._url(f"{bucket}/{key}", expires=SIGNED_FOR)
        except Exception as error:
            raise _worded(path, error) from None
        return Address(signed, {})


class Gcs(_ObjectStore):
    """``gs://``: Google's object store."""

    def __init__(self, storage: Storage) -> None:
        from gcsfs.core import GCSFileSystem  # the package's own one asks each bucket for its kind, by another protocol

        super().__init__(
            GCSFileSystem(
                token="anon" if storage.anon else None,
                endpoint_url=storage.endpoint_url,
                skip_instance_cache=True,
                use_listings_cache=False,
            ),
            "gs",
        )

    async def address(self, path: str) -> Address:
        """Name an object, with the token of the credentials."""
        bucket, _, key = path.partition("://")[2].partition("/")
        if not bucket or not key:
            raise InputError(f"{path}: expected gs://bucket/name, found no {'name' if bucket else 'bucket'} in it")
        headers: dict[str, str] = {}
        try:
            self.system.credentials.apply(headers)
            url = self.system.url(f"{bucket}/{key}")
        except Exception as error:
            raise _worded(path, error) from None
        return Address(url, headers)


def place_of(path: str, storage: Storage) -> Place:
    """Make the place of a file.

    Raises
    ------
    ConfigError
        The scheme is not known, a package is missing, or the provider's settings cannot be used.
    """
    scheme = scheme_of(path)
    if scheme in ("http", "https"):
        return Web()
    if scheme not in _STORES:
        raise ConfigError(
            f"{shown(path)}: expected a path, or a URL with https://, http://, s3:// or gs://, found {scheme}://"
        )
    kind, extra, package = _STORES[scheme]
    try:
        return kind(storage)
    except ImportError:
        raise ConfigError(
            f"{path}: {scheme}:// needs the package {package}, which is not installed: pip install 'tsogrid[{extra}]'"
        ) from None
    except Exception as error:
        raise _worded(path, error) from None


_STORES: dict[str, tuple[type[S3] | type[Gcs], str, str]] = {
    "s3": (S3, "s3", "s3fs"),
    "s3a": (S3, "s3", "s3fs"),
    "gs": (Gcs, "gcs", "gcsfs"),
    "gcs": (Gcs, "gcs", "gcsfs"),
}


def _worded(path: str, error: Exception) -> InputError:
    """Say what a provider's library found wrong."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, PermissionError) or fnmatch.fnmatch(type(error).__name__, "*Credential*"):
        return ForbiddenError(
            f"{path}: forbidden ({said}). Public data need input.storage.anon: true; for others, keys come from the "
            "environment or from the provider's credentials file (input.storage.profile)."
        )
    if type(error).__name__ in ("ProfileNotFound", "InvalidRegionError", "DefaultCredentialsError"):
        return InputError(f"{path}: the settings of input.storage cannot be used ({said}).")
    return SourceFailingError(f"{path}: the store does not answer ({said}). Try again later.")
