"""The first run on a machine: kernels compiled by two processes at once.

Compiling is work of the interpreter, which threads cannot share; it takes most of a minute in one process. So a second
process compiles what finds the centres while this one compiles what sums the apertures; each leaves its machine code in the
cache, where the other, and every worker later, finds it. With a filled cache nothing is started.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import tsogrid
from tsogrid.engine.pipeline import CENTER, PHOTOMETRY, PREDICT
from tsogrid.engine.plan import Plan
from tsogrid.kernels.compile import has_machine_code

TIMEOUT = 300.0  # seconds after which the second process is given up; this one then compiles alone


def compile_kernels(plan: Plan, say: Callable[[str], None] = lambda message: None) -> None:
    """Compile what a plan needs, where that was not done before.

    Parameters
    ----------
    plan : Plan
        What will be measured; its first frame is measured for trial.
    say : callable, optional
        Told that the user has to wait.
    """
    stages = {stage for stages in plan.passes for stage in stages}
    if has_machine_code("aperture", "gaussian") or (os.cpu_count() or 1) < 2 or not stages & {PREDICT, CENTER}:
        return
    say("first run on this machine: compiling the kernels, for half a minute or so")
    with _second_process(plan):
        replace(plan, passes=((PHOTOMETRY,),)).measure(0, 1, 0, plan.trial(1, PHOTOMETRY))


@contextmanager
def _second_process(plan: Plan) -> Iterator[None]:
    """Have another process compile the centring meanwhile; whatever becomes of it, nothing is lost but time."""
    centring = replace(plan, passes=((PREDICT, CENTER) if plan.config.center.predict != "none" else (CENTER,),))
    home = str(Path(tsogrid.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])}
    process = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tsogrid.engine.compiling"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(pickle.dumps(centring.travelling()))
    except OSError:
        pass
    try:
        yield
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(TIMEOUT)
    finally:
        if process is not None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    pickle.load(sys.stdin.buffer).measure(0, 1)
