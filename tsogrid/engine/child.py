"""A child process that reads and measures in the place of this one: a file that kills who reads it leaves the run alive.

A process cannot outlive a fault in a decoder, or the end of its memory; its parent can, and knows what the child was asked
to do. The child is begun again for the next errand. It notes the name of each file that it opens, so that the last one is
known; and it ends with its parent, whose pipe it reads.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import KilledError, Outcome
from tsogrid.errors import TsogridWarning

TRIES = 3  # children that die of one errand before it is given up: as many as workers do
LONGEST_NAME = 4096  # bytes of a file's name that are noted
OF_PROGRAMS = (".py", ".pyc", ".so", ".nbi", ".nbc", ".pth", ".json", ".txt", ".toml")  # opened by whatever is imported
BEGIN = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from tsogrid.engine import child; child.serve()"


class Child:
    """Does what is asked in a child process; see `tsogrid.engine.setting_aside.Hands`.

    Its context ends the process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._plan: Plan | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="tsogrid-")
        self._note = os.path.join(self._folder.name, "opened")

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()
        self._folder.cleanup()

    def end(self) -> None:
        """End the process; the next errand begins another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was still to be sent
                pipe.close()  # type: ignore[union-attr]

    def of(self, plan: Plan) -> "Child":
        """Have all further errands of `alone` and `once` done with a plan."""
        self._plan = plan.travelling()
        self.end()
        return self

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        """Do one thing with the plan; a KilledError where several children died of it, any other error in its place."""
        return self.call(function, self._plan, *arguments)

    def together(self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        """Do many things with the plan, one after another."""
        return [self.alone(function, *arguments) for arguments in each]

    def once(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        """Do one thing with the plan, and do not try again where the child dies."""
        return self.call(function, self._plan, *arguments, tries=1)

    def call(self, function: Callable[..., Any], *arguments: Any, tries: int = TRIES) -> Outcome:
        """Call a function of a module.

        Parameters
        ----------
        function : callable
            By its name, so it is not sent itself.
        *arguments
            What can be pickled; the plan is sent once to a child.
        tries : int
            After so many deaths it is given up.

        Returns
        -------
        object
            What it gives, the exception that it raises, or a KilledError.
        """
        how = ""
        for _ in range(tries):
            try:
                return self._asked(function, arguments)
            except (EOFError, OSError, pickle.UnpicklingError):
                how = self._death()
        return KilledError(tries, who=f"process{'es' if tries > 1 else ''}", how=how)

    @property
    def opened(self) -> str:
        """The last file that the last child has opened, as far as it is known."""
        with suppress(OSError), open(self._note, "rb") as note:
            return note.read().partition(b"\0")[0].decode(errors="replace")
        return ""

    def _asked(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        if self._process is None:
            self._begin()
        assert self._process is not None
        sent, got = self._process.stdin, self._process.stdout
        assert sent is not None
        assert got is not None
        with_plan = bool(arguments) and arguments[0] is self._plan and self._plan is not None
        errand = function.__module__, function.__qualname__, with_plan, arguments[with_plan:]
        pickle.dump(errand, sent)
        sent.flush()
        outcome, heard = pickle.load(got)
        for message, category in heard:
            warnings.warn(message, category, stacklevel=4)
        return outcome

    def _begin(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", BEGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        for first in (sys.path, self._note, self._plan):
            pickle.dump(first, self._process.stdin)
        self._process.stdin.flush()

    def _death(self) -> str:
        """Take leave of a child that has died: how, in words."""
        process = self._process
        status = None if process is None else process.wait()
        self.end()
        if status is not None and status < 0:
            with suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status}"


def serve() -> None:
    """Be the child: do errands until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes the pipe
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    errands = sys.stdin.buffer
    note, plan = pickle.load(errands), pickle.load(errands)
    sys.addaudithook(_noting(note))
    with suppress(EOFError, BrokenPipeError):
        while True:
            module, name, with_plan, arguments = pickle.load(errands)
            function = getattr(import_module(module), name)
            answers.write(_answer(function, (plan, *arguments) if with_plan else arguments))
            answers.flush()


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", TsogridWarning)
        try:
            outcome = function(*arguments)
        except Exception as error:
            outcome = error
    told = [(str(each.message), each.category) for each in heard]
    try:
        return pickle.dumps((outcome, told))
    except Exception as error:  # whatever its own pickling raises
        return pickle.dumps((RuntimeError(f"{type(outcome).__name__}: {outcome} ({error})"), told))


def _noting(note: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Give an audit hook that writes down which file is opened; a file of the system's outlives the process."""
    handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith(OF_PROGRAMS):
            os.pwrite(handle, arguments[0].encode(errors="replace")[:LONGEST_NAME] + b"\0", 0)

    return look
