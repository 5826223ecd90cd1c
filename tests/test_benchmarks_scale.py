"""The benchmark of long runs does not rot: a short one, with a scheduler and workers of its own, and what it must show."""

import numpy as np
import pytest

from benchmarks.scale import BUDGET, configuration, in_lines, measured
from benchmarks.scale_frames import write_segments
from tsogrid.config import Config
from tsogrid.io.frames import open_frames


@pytest.mark.slow
def test_a_short_run_through_a_scheduler_of_its_own(tmp_path):
    files = write_segments(tmp_path / "frames", 120, 20, segments=2)
    found = measured(tmp_path, files, 20, block=5, workers=1, kernels="none")
    assert (found["frames"], found["blocks"], found["block"]) == (120, 24, 5)
    assert found["files"] < 2000
    assert {*found["processes"]} == {"scheduler", "worker 0", "client"}
    # The scheduler holds bytes and numbers: it loads neither numba nor xarray nor zarr. The client measures nothing.
    assert found["processes"]["scheduler"]["peak_mb"] < BUDGET / 1e6
    assert found["processes"]["client"]["peak_mb"] < BUDGET / 1e6
    assert len(in_lines(found)) == 8


@pytest.mark.parametrize(("sparse", "whole"), [(False, False), (True, True)])
def test_the_frames_and_the_configuration_are_what_they_say(tmp_path, sparse, whole):
    files = write_segments(tmp_path, 50, 32, segments=3, sparse=sparse)
    frames = open_frames([str(path) for path in files])
    assert dict(frames.sizes) == {"time": 50, "y": 32, "x": 32}
    assert frames["time"].attrs["scale"] == "tdb"
    assert (np.diff(frames["time"]) > 0).all()
    assert frames["data"][0].to_numpy()[16, 16] > 500
    assert bool((frames["data"][12] == 0).all()) == sparse
    Config.from_mapping(configuration(files, tmp_path / "a.zarr", 32, None, {"kind": "none"}, whole))
