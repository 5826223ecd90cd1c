"""A store's place in a bucket of an object store: what a folder does by renames and flushes, done by whole objects.

An object is there, whole and safe, once its PUT is answered, and only then. Nothing can be renamed, so a store that is
laid out lies complete under a hidden name first and is copied to its own by the server, its root last. The hidden one says
that it is complete, and whoever finds it goes on with the copying; until it is, the old store stands.

Keys come from the usual chain (environment, files of the provider's tools, role of the machine), and are kept nowhere.
"""

import errno
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tsogrid.config import Storage
from tsogrid.errors import ConfigError, StoreError

ROOT = "zarr.json"
WHOLE = "whole"  # of what was made beside: it is complete, and on its way to its name
MOST_KEYS = 1000  # that one request deletes
CONNECT = 10.0  # seconds in which a server must answer at all


@dataclass(frozen=True)
class Bucket:
    """A store's place in a bucket; small, and it travels: each process makes its own connections.

    Parameters
    ----------
    url : str
        ``s3://bucket/name``, without a slash at its end.
    storage : Storage
        How the bucket is reached.
    """

    url: str
    storage: Storage = field(default_factory=Storage)
    at_once: ClassVar[int] = 16  # chunks that are read at a time

    def __str__(self) -> str:
        return self.url

    @property
    def path(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What a verb that fails raises."""
        return failures()

    @property
    def unreachable(self) -> tuple[type[Exception], ...]:
        """Errors that say nothing of a chunk: the server did not answer, or would not."""
        return failures()

    @property
    def _where(self) -> tuple[str, str]:
        """Bucket and key."""
        bucket, _, key = self.url.removeprefix("s3://").partition("/")
        return bucket, key

    def filesystem(self) -> Any:
        """The connections of this thread; they are made once."""
        return _filesystem(self.storage)

    def zarr(self) -> Any:
        """What zarr and xarray open."""
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
        from zarr.storage import FsspecStore

        # Over the connections that fsspec closes in the end; those of a loop of zarr's would be left open.
        return FsspecStore(AsyncFileSystemWrapper(self.filesystem(), asynchronous=True), path="/".join(self._where))

    def require(self) -> None:
        """Refuse a bucket that is not there or cannot be reached."""
        with self.told():
            self.exists()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Word what a server answers that does not do what was asked."""
        try:
            yield
        except failures() as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.url}: {said(error, self)}") from None

    def exists(self) -> bool:
        """Whether something stands here."""
        bucket, key = self._where
        return bool(self._call("list_objects_v2", Bucket=bucket, Prefix=f"{key}/", MaxKeys=1).get("Contents"))

    def beside(self, what: str) -> "Bucket":
        """A hidden neighbour of the same name."""
        return replace(self, url=f"{self.url.removesuffix(self.name)}.{self.name}.{what}")

    def read(self, key: str) -> bytes:
        """Read an object whole."""
        return bytes(self.filesystem().cat_file(f"{self.url}/{key}"))

    def write(self, key: str, content: bytes) -> None:
        """Write an object whole."""
        self._put({key: content})

    def _put(self, contents: dict[str, bytes]) -> None:
        if contents:
            paths = {f"{self.url}/{key}": content for key, content in contents.items()}
            self.filesystem().pipe(paths, batch_size=self.storage.connections)

    def names(self) -> set[str]:
        """Names of all objects."""
        return set(self._listing())

    def _listing(self) -> dict[str, str]:
        """Names of all objects, and what the server says of their contents."""
        root = "/".join(self._where)
        found = self.filesystem().find(root, detail=True)
        return {name.removeprefix(f"{root}/"): each["ETag"] for name, each in found.items() if name != root}

    @contextmanager
    def staging(self) -> Iterator[Any]:
        """What zarr writes into: memory, which is put here when this ends, the root last."""
        from zarr.core.buffer import default_buffer_prototype
        from zarr.storage import MemoryStore

        held: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            held[ROOT] = default_buffer_prototype().buffer.from_bytes(self.read(ROOT))
        root = held.get(ROOT)
        yield MemoryStore(held)
        self._put({key: buffer.to_bytes() for key, buffer in held.items() if key != ROOT})
        if held.get(ROOT) is not root:
            self._put({ROOT: held[ROOT].to_bytes()})

    def flush(self, keys: Collection[str] | None = None) -> None:
        """Nothing is left to do: what was answered is safe."""

    def take(self, other: "Bucket", keys: Collection[str], missing: bool = False) -> None:
        """Take objects over from elsewhere in this bucket, copied by the server; with ``missing`` they need not be there."""
        (bucket, to), (_, source), call = self._where, other._where, self._call

        def copy(key: str) -> None:
            try:
                given = {"Bucket": bucket, "Key": f"{source}/{key}"}
                call("copy_object", Bucket=bucket, Key=f"{to}/{key}", CopySource=given)
            except FileNotFoundError:
                if not missing:
                    raise

        with ThreadPoolExecutor(min(self.at_once, self.storage.connections)) as pool:
            list(pool.map(copy, keys))

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects, those that are there."""
        bucket, root = self._where
        names = [{"Key": f"{root}/{key}"} for key in sorted(keys)]
        for first in range(0, len(names), MOST_KEYS):
            answer = self._call(
                "delete_objects", Bucket=bucket, Delete={"Objects": names[first : first + MOST_KEYS], "Quiet": True}
            )
            if answer.get("Errors"):
                wrong = answer["Errors"][0]
                raise PermissionError(errno.EACCES, f"{wrong.get('Key')} was not deleted: {wrong.get('Message')}")

    def remove(self) -> None:
        """Remove all that is here; the root first: what is half gone is no store."""
        keys = self.names()
        if keys:
            self.delete(keys & {ROOT, WHOLE})
            self.delete(keys - {ROOT, WHOLE})

    def become(self, made: "Bucket") -> None:
        """Be what was made beside. From the first step on, whoever finds it there goes on."""
        made.write(WHOLE, b"")
        self._go_on(made)

    def _go_on(self, made: "Bucket") -> None:
        new, old = made._listing(), self._listing()
        new.pop(WHOLE, None)
        if ROOT in old:
            self.delete([ROOT])  # no reader sees the one's attributes over the other's numbers
        self.take(made, [key for key, content in new.items() if key != ROOT and old.get(key) != content])
        self.delete(old.keys() - new.keys())
        self.take(made, [ROOT])
        made.delete([WHOLE])
        made.remove()

    def recover(self) -> None:
        """Finish, or undo, what a run left behind that died while it laid out a store; the caller holds the lock."""
        made = self.beside("making")
        keys = made.names()
        if WHOLE in keys:
            self._go_on(made)
        elif keys:
            made.remove()

    def is_being_replaced(self) -> bool:
        """Whether a run has died, or is, between the old store and the new one."""
        return WHOLE in self.beside("making")._listing()

    def tidy(self) -> None:
        """Nothing is left to do: no object is ever half."""

    def _call(self, method: str, **arguments: Any) -> Any:
        return self.filesystem().call_s3(method, **arguments)


def _filesystem(storage: Storage) -> Any:
    """Connect; fsspec keeps one for each process and thread that asks for the same."""
    try:
        from s3fs import S3FileSystem
    except ImportError:
        raise ConfigError(
            'a store on s3:// needs the package s3fs, found none: python -m pip install "tsogrid[s3]"'
        ) from None
    options: dict[str, Any] = {"endpoint_url": storage.endpoint_url, "profile": storage.profile}
    filesystem = S3FileSystem(
        anon=storage.anon,
        use_listings_cache=False,
        max_concurrency=1,  # of one object: more would ask for its size first, and chunks are small
        client_kwargs={"region_name": storage.region} if storage.region else {},
        config_kwargs={
            "retries": {"max_attempts": storage.retries, "mode": "standard"},
            "connect_timeout": min(CONNECT, storage.timeout),
            "read_timeout": storage.timeout,
            "max_pool_connections": storage.connections,
        },
        **{name: value for name, value in options.items() if value is not None},
    )
    filesystem.retries = 1  # above those of botocore, which are configured
    return filesystem


def failures() -> tuple[type[Exception], ...]:
    """Errors of a server that does not answer, or refuses."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return (OSError,)
    return OSError, BotoCoreError, ClientError


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error stands for; None if there was no answer."""
    response: Any = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None


def _no_bucket(error: Exception, place: Bucket) -> str:
    return f"expected an existing bucket, found none named {place._where[0]}. Make it, or choose another."


def _forbidden(error: Exception, place: Bucket) -> str:
    return (
        f"expected permission to list, read and write here, found: {_line(error)}. Look at the keys "
        "(AWS_PROFILE, AWS_ACCESS_KEY_ID …), the profile in output.storage, and the bucket's policy."
    )


def _silent(error: Exception, place: Bucket) -> str:
    tried = f" in {place.storage.retries + 1} tries" if place.storage.retries else ""
    return f"the object store did not do what was asked{tried}: {_line(error)}."


_WORDS: dict[type, Callable[[Exception, Bucket], str]] = {FileNotFoundError: _no_bucket, PermissionError: _forbidden}


def said(error: Exception, place: Bucket) -> str:
    """Say what is wrong with a place; an error of a credentials chain counts as one of permission."""
    kind: type = PermissionError if "credential" in type(error).__name__.lower() else type(error)
    if kind is FileNotFoundError and "NoSuchBucket" not in str(getattr(error.__cause__, "response", "")):
        kind = OSError  # something in the store
    return _WORDS.get(kind, _silent)(error, place)


def _line(error: Exception) -> str:
    status = status_of(error)
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text} (HTTP status {status})" if status else text
