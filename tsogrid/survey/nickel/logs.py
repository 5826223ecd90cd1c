"""The log of the Nickel pipeline: a file that always tells everything, and a console that tells as much as is asked for."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

LOGGER = "tsogrid"
INFO = 4
LEVELS = {1: "CRITICAL", 2: "ERROR", 3: "WARNING", 4: "INFO", 5: "DEBUG"}
_FILE = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_CONSOLE = "%(asctime)s - %(levelname)s - %(message)s"
_BYTES, _KEPT = 1_000_000, 2  # of a log file, and how many older ones are kept
_NAME = "tsogrid-nickel"  # of our own handlers, so that they can be taken away again


def level_of(level: int | str) -> str:
    """Name a level of `logging`: 1 is CRITICAL … 5 is DEBUG; numbers beyond are taken as the nearest."""
    return LEVELS[min(max(int(level), 1), 5)] if isinstance(level, int) or str(level).isdigit() else str(level).upper()


def adjust_global_logger(log_level: int | str = "INFO", name: str = "all_others", folder: str | Path = ".") -> None:
    """Set what the console shows, and write everything to a file.

    Parameters
    ----------
    log_level : int or str
        Of the console: DEBUG, INFO, WARNING, ERROR, CRITICAL, or 5 to 1.
    name : str
        The last part of it, after a dot, names the file: ``photometry`` gives ``photometry.log``. It holds all down to
        DEBUG, whatever the console shows; at a megabyte it is moved aside.
    folder : path-like
        Where the file is.
    """
    logger = logging.getLogger(LOGGER)
    _remove(logger, _NAME)
    for handler in (_Console(level_of(log_level)), _to_file(Path(folder) / f"{name.split('.')[-1]}.log")):
        handler.set_name(_NAME)
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


class _Console(logging.StreamHandler):
    """Writes to what is the standard output at the time: a progress bar puts another in its place while it is shown."""

    def __init__(self, level: str) -> None:
        logging.Handler.__init__(self, level)
        self.setFormatter(logging.Formatter(_CONSOLE, "%H:%M:%S"))

    @property
    def stream(self) -> TextIO:
        return sys.stdout


class LoggedProgress:
    """A progress whose words go to the log, which the console shows, and not to the console by themselves.

    Parameters
    ----------
    shown : Progress
        A bar, or lines.
    """

    def __init__(self, shown: Any) -> None:
        self.begin, self.advance = shown.begin, shown.advance
        shown.say = self.say

    def say(self, message: str) -> None:
        logging.getLogger(f"{LOGGER}.progress").info(message)


@contextmanager
def console_shows(level: int | str) -> Iterator[None]:
    """Show the log on the console while this lasts.

    Parameters
    ----------
    level : int or str
        From which on.
    """
    logger = logging.getLogger(LOGGER)
    handler, before = _Console(level_of(level)), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write everything to a file too while this lasts.

    Parameters
    ----------
    path : Path
        Of the log; lines are added at its end.
    """
    logger = logging.getLogger(LOGGER)
    handler, level = _to_file(path), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def _to_file(path: Path) -> logging.Handler:
    handler = RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_KEPT, encoding="utf-8", delay=True)
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(logging.Formatter(_FILE, "%Y-%m-%d %H:%M:%S"))
    return handler


def _remove(logger: logging.Logger, name: str) -> None:
    for handler in list(logger.handlers):
        if handler.get_name() == name:
            logger.removeHandler(handler)
            handler.close()
