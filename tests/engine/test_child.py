"""Errands done in a child process: what they give, what they raise, and that their death is only told."""

import os
import signal
import warnings

import pytest

from tsogrid.engine.child import Child
from tsogrid.engine.setting_aside import KilledError
from tsogrid.errors import InputError, TsogridWarning


def add(first, second):
    print("not an answer")
    warnings.warn("heard", TsogridWarning, stacklevel=1)
    warnings.warn("not meant for users", RuntimeWarning, stacklevel=1)
    return first + second


def refuse():
    raise InputError("no")


def die_reading(path, times):
    """Die by SIGKILL with a file open, as often as a file beside it says."""
    with open(path, "a+") as tally:
        tally.write("x")
        tally.seek(0)
        if len(tally.read()) <= times:
            with open(__file__):
                pass
            open(f"{path}.bad", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def not_to_be_sent():
    return lambda: None


def test_errands_in_a_child(tmp_path):
    with Child() as child:
        with pytest.warns(TsogridWarning, match="heard") as told:
            assert child.call(add, 1, 2) == 3
        assert len(told) == 1
        assert isinstance(child.call(refuse), InputError)
        assert isinstance(child.call(not_to_be_sent), RuntimeError)
        assert child.call(die_reading, str(tmp_path / "once"), 1) == "survived"
        process = child._process
        assert process.poll() is None
        killed = child.call(die_reading, str(tmp_path / "always"), 9, tries=2)
        assert isinstance(killed, KilledError)
        assert str(killed).startswith("2 processes died (SIGKILL) that read it, one after the other")
        assert child.opened == str(tmp_path / "always.bad")
    assert process.poll() is not None
