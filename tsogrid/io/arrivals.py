"""Which files of a folder are whole, while others write into it.

A file counts when its size and time have stood still for a while and it holds all that its own headers announce. One that
stands still and is not whole is waited for, and in the end set aside with its reason, until it changes. Files that are
renamed into place, and those under hidden or temporary names, need nothing more.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tsogrid.errors import InputError
from tsogrid.io.files import FITS_SUFFIXES, natural_key
from tsogrid.io.fits import BLOCK, scan

UNPADDED = 5.0  # times as long a file may stand that does not end with a whole block, before it is taken as it is

Signature = tuple[int, int]  # bytes; time of the last change in nanoseconds


@dataclass
class _Seen:
    signature: Signature
    since: float  # when it was last seen to change, by the clock of the watch
    verdict: str | None = None  # None: not yet known; empty: whole; else what is wrong


@dataclass
class Look:
    """What a folder holds: whole files with their signatures, files that are waited for, files that are set aside."""

    whole: dict[str, Signature] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


class Arrivals:
    """Follows the frames of a folder.

    Parameters
    ----------
    folder : Path
        Where files come.
    wanted : callable
        Whether a path is meant.
    settle : float
        Seconds that a file must have stood still.
    patience : float
        Seconds after which a file that stands still and is not whole is set aside.
    """

    def __init__(self, folder: Path, wanted: Callable[[str], bool], settle: float, patience: float) -> None:
        self.folder, self.wanted, self.settle, self.patience = folder, wanted, settle, patience
        self._seen: dict[str, _Seen] = {}

    def look(self) -> Look:
        """Look at the folder.

        Returns
        -------
        Look

        Raises
        ------
        InputError
            The folder is not there or cannot be read.
        """
        try:
            names = sorted(os.listdir(self.folder), key=natural_key)
        except OSError as error:
            raise InputError(f"{self.folder}: the folder cannot be read ({error.strerror}).") from None
        now, result = time.monotonic(), Look()
        seen: dict[str, _Seen] = {}
        for name in names:
            path = str(self.folder / name)
            if name.startswith(".") or not name.lower().endswith(FITS_SUFFIXES) or not self.wanted(path):
                continue
            state = self._state(path, now)
            if state is None:  # gone, or renamed, since the folder was listed
                continue
            seen[path] = state
            if state.verdict is None:
                result.waiting.append(path)
            elif state.verdict:
                result.broken[path] = state.verdict
            else:
                result.whole[path] = state.signature
        self._seen = seen
        return result

    def set_aside(self, path: str, reason: str) -> None:
        """Leave a file out, until it changes."""
        if path in self._seen:
            self._seen[path].verdict = reason

    def _state(self, path: str, now: float) -> _Seen | None:
        signature = signature_of(path)
        if signature is None:
            return None
        state = self._seen.get(path)
        if state is None or state.signature != signature:
            # What was last written long ago stands still already; a clock that runs ahead tells nothing.
            state = _Seen(signature, now - max(0.0, time.time() - signature[1] * 1e-9))
        still = now - state.since
        if state.verdict is None and still >= self.settle:
            reason = _what_is_wrong(path)
            unpadded = signature[0] % BLOCK != 0 and still < UNPADDED * self.settle
            if reason is None and not unpadded:
                state.verdict = ""
            elif reason is not None and still >= self.patience:
                state.verdict = reason
        return state


def signature_of(path: str | Path) -> Signature | None:
    """Give size and time of the last change; None where there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _what_is_wrong(path: str) -> str | None:
    """Say why a file is no whole FITS file; None if it is one."""
    try:
        scan(path)
    except InputError as error:
        return str(error)
    return None
