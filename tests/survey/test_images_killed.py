"""Catalogues on a cluster: the same bytes for any number of workers, whatever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.survey.images import TextTask, tree, write_images
from tsogrid.config import LocalCluster, NoCluster
from tsogrid.errors import RunError
from tsogrid.flags import ImageFlag
from tsogrid.survey import measure_images, open_catalogues

pytestmark = [pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).parents[2]
RUN = """
import sys, time
sys.path.insert(0, {root!r})
from tests.survey.images import TextTask
from tsogrid.config import NoCluster
from tsogrid.survey import measure_images

def slow(path):
    time.sleep(0.05)
    return TextTask()(path)

measure_images(sys.argv[2:], slow, sys.argv[1], identity={{}}, cluster=NoCluster(),
               done=lambda path, _: print(path, flush=True))
"""


def test_any_number_of_workers_gives_the_same_bytes_and_a_deadly_image_is_found(tmp_path):
    paths = write_images(tmp_path, [3, 0, 5, "die", 2, 7, 1, "raise", 4])
    innocent = [path for number, path in enumerate(paths) if number != 3]
    with pytest.raises(RunError, match="1 of 8 images"):
        measure_images(innocent, TextTask(), tmp_path / "none.zarr", identity={}, cluster=NoCluster())
    with pytest.raises(RunError, match=r"2 of 9 images .*\n.*d1003.txt: its worker died .*\n.*d1007.txt: ValueError"):
        measure_images(paths, TextTask(), tmp_path / "two.zarr", identity={}, cluster=LocalCluster(workers=2))
    found = open_catalogues(tmp_path / "two.zarr")
    assert found["row_size"].values.tolist() == [3, 0, 5, 0, 2, 7, 1, 0, 4]
    assert found["image_flags"].values[3] == int(ImageFlag.FAILED)
    found.close()
    Path(paths[3]).write_text("6\n")
    Path(paths[7]).write_text("2\n")
    for name in ("none", "two"):
        measure_images(paths, TextTask(), tmp_path / f"{name}.zarr", identity={}, cluster=NoCluster(), others="drop").close()
    measure_images(paths, TextTask(), tmp_path / "fresh.zarr", identity={}, cluster=LocalCluster(workers=1)).close()
    assert tree(tmp_path / "none.zarr") == tree(tmp_path / "two.zarr") == tree(tmp_path / "fresh.zarr")


def test_whenever_a_run_is_killed_what_is_marked_is_there_and_not_measured_again(tmp_path):
    paths = write_images(tmp_path, [number % 7 for number in range(30)])
    store = tmp_path / "c.zarr"
    command = [sys.executable, "-c", RUN.format(root=str(ROOT)), str(store), *paths]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    told: list[str] = []
    for target in (4, 9, 15):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        while len(told) < target:
            told.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        time.sleep(0.1)
        marked = list((store / "progress" / "images").rglob("*.npz"))
        assert len(marked) >= len(set(told)) - 1  # at most the last was told of and not marked
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    told += done.stdout.split()
    assert set(told) == set(paths)
    assert len(told) <= len(paths) + 3
    measure_images(paths, TextTask(), tmp_path / "fresh.zarr", identity={}, cluster=NoCluster()).close()
    assert tree(store) == tree(tmp_path / "fresh.zarr")
