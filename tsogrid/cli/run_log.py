"""The log file of a run: what happened when, in lines, or as JSON for a program to read.

Nothing is written before a run begins to measure: a run that is refused, or has nothing to do, leaves no file.
"""

import json
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

from tsogrid import __version__
from tsogrid.errors import StoreError
from tsogrid.io.remote_names import shown

LOG = logging.getLogger("tsogrid")


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, ensure_ascii=False)


class _File(logging.FileHandler):
    """A file; that it cannot be written (a full disk) stops no run, and the run itself says so."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass


class _UntilBegun(MemoryHandler):
    """Holds records back until a run begins to measure, then hands on all of them."""

    begun = False

    def shouldFlush(self, record: logging.LogRecord) -> bool:  # noqa: N802
        self.begun = self.begun or getattr(record, "event", "") == "begin"
        return self.begun


@contextmanager
def logged(path: Path, as_json: bool) -> Iterator[None]:
    """Keep the log of a run.

    Parameters
    ----------
    path : Path
        The file; what is there is kept, and added to.
    as_json : bool
        JSON, a line an event.
    """
    if not path.parent.is_dir():
        raise StoreError(f"--log {path}: expected an existing folder, found none at {path.parent}.")
    file = _File(path, delay=True, encoding="utf-8")
    file.setFormatter(_Json() if as_json else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    held = _UntilBegun(capacity=10_000, target=file, flushOnClose=False)
    before = LOG.level, LOG.propagate
    LOG.setLevel(logging.INFO)
    LOG.addHandler(held)
    who = {"version": __version__, "python": platform.python_version(), "host": socket.gethostname(), "process": os.getpid()}
    job = os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID")
    command = " ".join(["tsogrid", *map(shown, sys.argv[1:])])
    LOG.info(command, extra={"event": "command", "fields": who | ({"job": job} if job else {})})
    try:
        yield
        LOG.info("done", extra={"event": "end", "fields": {"state": "done"}})
    except (KeyboardInterrupt, SystemExit):
        LOG.warning("stopped by a signal", extra={"event": "end", "fields": {"state": "stopped"}})
        raise
    except Exception as error:
        words = f"ended by {type(error).__name__}: {error}"
        LOG.error(words, extra={"event": "end", "fields": {"state": "failed", "error": type(error).__name__}})
        raise
    finally:
        LOG.removeHandler(held)
        LOG.setLevel(before[0])
        held.close()
        file.close()
