"""URLs as names of files: which are remote, what their base names are, and how they are written where others read them.

A URL may hold a secret (a password, the signature of a link that expires): what is shown, logged
or stored goes through here.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

FITS_SUFFIXES = (".fits", ".fit", ".fts", ".ftt")
_PACKED_SUFFIXES = tuple(f"{suffix}{packed}" for suffix in FITS_SUFFIXES for packed in (".gz", ".fz", ".bz2", ".xz"))
FRAME_SUFFIXES = (*FITS_SUFFIXES, *_PACKED_SUFFIXES)
WEB = ("http", "https")
OBJECT_STORES = ("s3", "s3a", "gs", "gcs")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


def scheme_of(name: str) -> str | None:
    """Give the scheme of a URL in small letters; None for a local path."""
    match = _SCHEME.match(name)
    return match.group(1).lower() if match else None


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return "://" in name and _SCHEME.match(name) is not None


def parts_of(url: str) -> SplitResult:
    """Take a URL apart; without a host if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult(scheme_of(url) or "", "", "", "", "")


def base_name(path: str) -> str:
    """Give the name of a file without its folder, its server and its query.

    A link that names its file in the query (``…/download?uri=mast:JWST/product/x_calints.fits``) has that name.
    """
    if not is_remote(path):
        return Path(path).name
    if scheme_of(path) in OBJECT_STORES:  # keys may hold any character
        return posixpath.basename(path.rstrip("/"))
    parts = parts_of(path)
    own = posixpath.basename(unquote(parts.path).rstrip("/"))
    asked = [posixpath.basename(value) for _, value in parse_qsl(parts.query)]
    named = [name for name in (own, *asked) if name.lower().endswith(FRAME_SUFFIXES)]
    return named[0] if named else own or parts.netloc.rpartition("@")[2]


def shown(path: str) -> str:
    """Write a path for others: without user and password, and of a query only what names a file."""
    if scheme_of(path) not in WEB:
        return path
    parts = parts_of(path)
    told = [f"{key}={value}" for key, value in parse_qsl(parts.query) if value.lower().endswith(FRAME_SUFFIXES)]
    hidden = len(told) < len(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join([*told, *(["…"] if hidden else [])])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (f"?{query}" if query else "")
