"""Two runs that begin at once on one store: one measures, the other refuses and says who, and nothing is damaged."""

import json
import subprocess
import sys

import pytest

import tsogrid
from tests.engine.test_store import assert_same_bytes, config_for
from tsogrid.engine.verification import verified

PAIR = """
import json, multiprocessing, sys, warnings
from pathlib import Path
import tsogrid
from tsogrid.engine.file_lock import lock_path, me
from tsogrid.errors import StoreError

def runner(content, barrier, found, number):
    for turn in range(int(sys.argv[2])):
        store = Path(content["output"]["store"]).with_name(f"{turn}.zarr")
        config = tsogrid.Config.from_mapping(content | {"output": content["output"] | {"store": str(store)}})
        if number == 0 and turn % 2:  # of a run that was killed
            lock_path(store).write_text(json.dumps(me() | {"pid": 2**22 + 1}))
        barrier.wait()
        try:
            tsogrid.run(config, mode="overwrite" if turn % 3 else "run")
            found.put("ran")
        except StoreError as error:
            found.put("refused" if "another run is writing this store (process" in str(error) else repr(error))
        except Exception as error:
            found.put(repr(error))
        barrier.wait()

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(2, timeout=240), context.Queue()
    pair = [context.Process(target=runner, args=(json.loads(sys.argv[1]), barrier, found, n)) for n in range(2)]
    for each in pair: each.start()
    answers = [found.get(timeout=240) for _ in range(2 * int(sys.argv[2]))]
    for each in pair: each.join()
    print(json.dumps(answers))
"""


@pytest.mark.slow
@pytest.mark.long
def test_two_runs_that_begin_at_once(exposure, tmp_path):
    turns = 6
    tsogrid.run(config_for(exposure.files, tmp_path / "whole.zarr"))
    content = config_for(exposure.files, tmp_path / "x.zarr").model_dump(mode="json", exclude_unset=True)
    command = [sys.executable, "-c", PAIR, json.dumps(content), str(turns)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert set(answers) <= {"ran", "refused"}, answers
    assert answers.count("ran") >= turns
    for turn in range(turns):
        assert verified(tmp_path / f"{turn}.zarr").damaged == []
        assert_same_bytes(tmp_path / f"{turn}.zarr", tmp_path / "whole.zarr")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
