"""From what a user names (paths, URLs, globs, folders, exclusions) to a list of files, each once."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.remote import listed
from tsogrid.io.remote_names import (
    FITS_SUFFIXES,
    FRAME_SUFFIXES,
    OBJECT_STORES,
    base_name,
    is_remote,
    parts_of,
    scheme_of,
    shown,
)

__all__ = ["FITS_SUFFIXES", "natural_key", "resolve"]

_NOT_READ = (".z", ".zip")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def resolve(names: Iterable[str], exclude: Sequence[str] = (), storage: Storage | None = None) -> list[str]:
    """Find the files that are meant.

    Parameters
    ----------
    names : iterable of str
        Files, folders (their FITS files) and glob patterns (``**`` goes into subfolders); or URLs of files, and of folders
        and patterns in object stores.
    exclude : sequence of str
        Patterns; a file is left out if its base name or its path matches one.
    storage : Storage, optional
        How object stores are reached, to list them.

    Returns
    -------
    list of str
        Absolute paths, and URLs as they are given; the order of `names`, and within a folder or a pattern the natural order
        of the names.

    Raises
    ------
    InputError
        A name matches nothing, a folder holds no frames, a file is named twice, or nothing is left.
    """
    found: list[str] = []
    for name in names:
        found.extend(_expand_remote(str(name), storage or Storage()) if is_remote(str(name)) else _expand(str(name)))
    if not found:
        raise InputError("expected at least one file, found none: name files, a folder or a pattern in input.files")
    kept = [path for path in found if not _is_excluded(path, exclude)]
    if not kept:
        raise InputError(f"all {len(found)} files are excluded by input.exclude = {list(exclude)}")
    seen: dict[object, str] = {}
    for path in kept:
        key = _identity(path)
        if key in seen:
            other = "" if seen[key] == path else f" (also as {seen[key]})"
            raise InputError(f"{shown(path)}: the same file is given twice{other}: name each file once")
        seen[key] = path
    return kept


def _identity(path: str) -> object:
    if is_remote(path):
        return path
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)  # the scan says what is wrong with it
    return (status.st_dev, status.st_ino)


def _expand(name: str) -> list[str]:
    if not name.strip():
        raise InputError("expected the name of a file, found an empty text")
    path = os.path.abspath(os.path.expanduser(name))
    if os.path.isdir(path):
        return _frames_in(path)
    if os.path.lexists(path):
        return [path]
    if glob.has_magic(path):
        matches = sorted((p for p in glob.glob(path, recursive=True) if not os.path.isdir(p)), key=natural_key)
        if not matches:
            raise InputError(f"{name}: expected files that match this pattern, found none{_where(path)}")
        return matches
    if re.match(r"[A-Za-z][A-Za-z0-9+]+:/[^/]", name):  # what a Path makes of a URL
        raise InputError(
            f"{name}: expected a URL, or a file of this machine, found neither: a URL is no Path, give it as text"
        )
    raise InputError(f"{path}: no such file{_where(path)}")


def _expand_remote(name: str, storage: Storage) -> list[str]:
    """Find remote files; only object stores can be listed, and a name that looks like a frame's is not looked up."""
    scheme = scheme_of(name)
    if scheme == "file":
        return _expand(unquote(parts_of(name).path))
    if scheme not in OBJECT_STORES:
        is_pattern = "*" in parts_of(name).path or parts_of(name).path.endswith("/")
        return listed(name, storage) if is_pattern else [name]
    if glob.has_magic(name):
        matches = sorted(listed(name, storage), key=natural_key)
        if not matches:
            raise InputError(f"{name}: expected files that match this pattern, found none")
        return matches
    if not name.endswith("/") and name.lower().endswith(FRAME_SUFFIXES):
        return [name]
    inside = sorted((path for path in listed(name, storage) if _is_frame(base_name(path))), key=natural_key)
    if not inside:
        raise InputError(f"{name}: expected FITS files ({', '.join(FITS_SUFFIXES)}) in this folder, found none")
    return inside


def _is_frame(name: str) -> bool:
    return name.lower().endswith(FRAME_SUFFIXES) and not name.startswith(".")


def _where(path: str) -> str:
    """Say which folder of a path is the first that does not exist."""
    for folder in reversed(Path(path).parents):
        if glob.has_magic(str(folder)):
            break
        if not folder.exists():
            return f" (there is no folder {folder})"
    return ""


def _frames_in(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder), key=natural_key)
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    frames = [n for n in names if _is_frame(n)]
    if not frames:
        packed = [n for n in names if n.lower().endswith(_NOT_READ)]
        hint = f"; {len(packed)} compressed files are there of a kind that is not read: unpack them" if packed else ""
        raise InputError(f"{folder}: expected FITS files ({', '.join(FITS_SUFFIXES)}) in this folder, found none{hint}")
    return [os.path.join(folder, n) for n in frames]


def _is_excluded(path: str, patterns: Sequence[str]) -> bool:
    name = base_name(path) if is_remote(path) else os.path.basename(path)
    return any(
        fnmatch(name, pattern) or fnmatch(path, pattern) or path == os.path.abspath(os.path.expanduser(pattern))
        for pattern in patterns
    )
