"""Files that cannot be read in the midst of a run cost their own frames; once mended, the same command measures them."""

import shutil

import numpy as np
import pytest

import tsogrid
from tests.engine.test_store import assert_same_bytes, config_for
from tsogrid.engine import store
from tsogrid.engine.lock import locked
from tsogrid.engine.ownership import claim
from tsogrid.engine.run import Silent, prepared
from tsogrid.engine.status import status
from tsogrid.errors import RunError, StoreError, TsogridWarning
from tsogrid.flags import SourceFlag
from tsogrid.simulate import simulate_night


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Twenty-four files of one frame."""
    folder = tmp_path_factory.mktemp("night")
    truth = simulate_night(folder, frames=24, shape=(48, 56), stars=[(28, 22, 1.0)], drift=0.5, jitter=0.1, seed=4)
    return sorted(map(str, folder.glob("*.fits"))), truth


@pytest.fixture
def files(night, tmp_path):
    """A copy, to be broken."""
    (tmp_path / "frames").mkdir()
    return [shutil.copy(file, tmp_path / "frames") for file in night[0]]


def settings(files, path, **sections):
    source = {"sources": [{"name": "star", "x": 28, "y": 22}], "apertures": [{"radius": [3, 5]}]}
    sky = {"sky": [{"method": "annulus", "inner": 8, "outer": 12}]}
    return config_for(files, path, **(source | sky | sections))


class Break(Silent):
    """Takes files away once the first frames are measured."""

    def __init__(self, files):
        self.files, self.frames, self.said = files, 0, []

    def advance(self, frames):
        self.frames += frames
        for file in self.files:
            with open(file, "r+b") as opened:
                opened.truncate(3000)

    def say(self, message):
        self.said.append(message)


CASES = {
    "one pass": {},
    "median positions": {"center": {"position": "median"}},
    "filter along time": {"calibrate": {"outliers": {"window": 5}}},
}


@pytest.mark.filterwarnings("ignore:The frames carry no errors")
@pytest.mark.parametrize("sections", CASES.values(), ids=CASES)
def test_only_the_frames_of_broken_files_are_lost_and_come_back(files, night, tmp_path, sections):
    path, whole = tmp_path / "a.zarr", tmp_path / "b.zarr"
    config = settings(files, path, **sections)
    with pytest.raises(
        RunError, match=r"(?s)2 files could not be read.*night-0011.fits, frame 10: .*night-0018.fits, frame 17"
    ):
        tsogrid.run(config, progress=Break([files[10], files[17]]))
    with pytest.warns(TsogridWarning, match=r"in \d of 6 shards files could not be read"):
        found = tsogrid.open_result(path).load()
    unreadable = (found.flags.to_numpy()[:, 0] & int(SourceFlag.UNREADABLE)) != 0
    assert np.flatnonzero(unreadable).tolist() == [10, 17]
    assert np.isnan(found.flux[unreadable]).all()
    assert np.isfinite(found.flux[~unreadable]).sum() > 10
    told = status(path)
    assert told.state == "failed"
    assert [(item["file"], item["first"]) for item in told.set_aside] == [("night-0011.fits", 10), ("night-0018.fits", 17)]
    for index in (10, 17):
        shutil.copy(night[0][index], files[index])
    again = Break([])
    tsogrid.run(config, progress=again)
    assert status(path).state == "complete"
    assert not status(path).set_aside
    if not sections:
        assert again.frames == 8  # the two shards
    assert any(line.startswith("going on: ") for line in again.said)
    tsogrid.run(settings(files, whole, **sections))
    assert_same_bytes(path, whole)


@pytest.mark.filterwarnings("ignore")
def test_the_other_frames_have_the_numbers_that_they_always_have(files, tmp_path):
    config = settings(files, tmp_path / "a.zarr")
    with pytest.raises(RunError, match="set aside"):
        tsogrid.run(config, progress=Break([files[9]]))
    found = tsogrid.open_result(tmp_path / "a.zarr").load()
    shutil.copy(files[10], files[9])  # anything that can be read
    lazy = tsogrid.measure(tsogrid.open_frames(files), settings([], "x")).compute()
    others = np.arange(24) != 9
    for name in lazy.data_vars:
        assert found[name].to_numpy()[others].tobytes() == lazy[name].to_numpy()[others].tobytes(), name


def test_the_tasks_of_a_dead_run_do_not_write_into_the_store_of_another(exposure, tmp_path):
    path = tmp_path / "a.zarr"
    _, plan = prepared(config_for(exposure.files, path))
    with locked(path):
        laid = store.prepare(path, plan)
        mine = store.Store(**{**vars(laid), "token": claim(laid.place)})
        blocks = [plan.measure(start, stop) for start, stop in mine.blocks(0)]
        store.write(mine, 0, 0, blocks)
        others = store.Store(**{**vars(laid), "token": claim(laid.place)})
        with pytest.raises(StoreError, match="another run has taken this store over"):
            store.write(mine, 0, 1, [plan.measure(start, stop) for start, stop in mine.blocks(1)])
        assert store.pending(others, 0) == list(range(1, 8))
        store.prepare(path, plan)  # made anew: nobody's yet
        with pytest.raises(StoreError, match="another run has taken this store over"):
            store.write(others, 0, 0, blocks)
        assert store.pending(others, 0) == list(range(8))
