"""How the command line tells of what went wrong: one message, and an exit status; tracebacks only for who asks.

A `TsogridError` already says what was expected, what was found and what to do. A few failures of the machine (a full disk, a
missing package, no memory) get their words here; anything else is called a defect.
"""

import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tsogrid.errors import StoreError, TsogridError, TsogridWarning

INTERRUPTED = 130  # as shells say of a program that SIGINT ended
TERMINATED = 143  # and SIGTERM, which batch systems send before a job's end
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def describe(error: BaseException) -> tuple[str, int]:
    """Word an exception.

    Parameters
    ----------
    error : BaseException
        What ended a command.

    Returns
    -------
    message : str
    exit_status : int
    """
    if isinstance(error, TsogridError):
        return str(error), error.exit_status
    if isinstance(error, ImportError) and error.name and not error.name.startswith("tsogrid"):
        package = error.name.partition(".")[0]
        return f"expected the package {package}, found none: python -m pip install {package}", 1
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in _FULL:
            return f"{where}the disk is full ({error.strerror}): make room, then give the same command again", 1
        if error.errno in _FORBIDDEN:
            return f"{where}expected permission to write or read here, found: {error.strerror}. Choose another place.", 1
        return f"{where}{error.strerror}", 1
    if type(error).__module__.startswith(("botocore", "aiobotocore")):
        return f"the object store did not answer: {' '.join(str(error).split())}", 1
    if isinstance(error, MemoryError):
        return "expected more memory, found none left: a smaller --block or fewer --workers need less", 1
    text = " ".join(str(error).split()) or "no message"
    return f"a defect of tsogrid, not of your input: {type(error).__name__}: {text} (--debug shows where)", 1


@contextmanager
def reading(store: str | Path) -> Iterator[None]:
    """Word what happens while a result's pixels of numbers are read: a chunk may be damaged or gone.

    Parameters
    ----------
    store : path-like
        Which store is read.

    Raises
    ------
    StoreError
        In place of what a codec of the store raises.
    """
    try:
        yield
    except (TsogridError, ImportError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # of the system, not of a codec
            raise
        raise _damaged(store, error) from error
    except (RuntimeError, ValueError) as error:
        raise _damaged(store, error) from error


def _damaged(store: str | Path, error: Exception) -> StoreError:
    return StoreError(
        f"{store}: expected chunks as they were written, found a damaged one ({' '.join(str(error).split())}). "
        "`tsogrid run` with the same configuration finds what is damaged and measures it again."
    )


@contextmanager
def in_words(debug: bool) -> Iterator[None]:
    """Turn whatever ends a command into one message on stderr and an exit status.

    Parameters
    ----------
    debug : bool
        Show tracebacks, and the warnings of other packages.

    Raises
    ------
    SystemExit
        In place of every exception.
    """
    try:
        with _warnings_in_lines(debug):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        status = error.code if isinstance(error, SystemExit) else INTERRUPTED
        if status in (INTERRUPTED, TERMINATED):
            _say("stopped: what is measured is safe, the same command goes on from there")
        _leave(status)
    except BrokenPipeError:  # who read the output has enough
        _leave(1)
    except Exception as error:
        message, status = describe(error)
        if debug:
            traceback.print_exc()
        else:
            _say(f"error: {message}")
        _leave(status)


@contextmanager
def leaving(at_once: bool) -> Iterator[None]:
    """Let an interrupted process end quietly.

    Parameters
    ----------
    at_once : bool
        End it here, without the clean-up of the libraries, which would print what else was going on. All of tsogrid's own
        is done by then, and worker processes end with this one.
    """
    if at_once and hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except SystemExit as error:
        if at_once and error.code in (INTERRUPTED, TERMINATED):
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(int(error.code))
        raise


def _terminated(number: int, frame: Any) -> None:
    # A second one ends the process at once: whoever sends it has waited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise SystemExit(TERMINATED)


@contextmanager
def _warnings_in_lines(debug: bool) -> Iterator[None]:
    """Show each warning that is meant for the user once, as one line; others only when debugging."""
    shown: set[str] = set()

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            logging.getLogger("tsogrid").warning(text)
            _say(f"warning: {text}" if issubclass(category, TsogridWarning) else f"{category.__name__}: {text}")

    # Worker processes warn on their own; they inherit this.
    before = os.environ.get("PYTHONWARNINGS")
    if not debug and before is None:
        os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if debug else "ignore")
            warnings.simplefilter("always", TsogridWarning)
            warnings.showwarning = show
            yield
    finally:
        if before is None:
            os.environ.pop("PYTHONWARNINGS", None)


def _say(line: str) -> None:
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


def _leave(status: Any) -> None:
    """Leave with a status, also where nobody reads the output any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end; into nothing, then.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(status) from None
