"""Files that kill the run itself: the next start reads in a child process, names them, and does all others."""

import signal

import numpy as np
import pytest

import tsogrid
from tests.deaths import poison
from tests.deaths.processes import Client, environment
from tests.deaths.random_kills import differences
from tests.deaths.test_poison import told_status
from tsogrid.flags import SourceFlag
from tsogrid.simulate import simulate_night

pytestmark = [pytest.mark.slow, pytest.mark.long]
FRAMES = 24


@pytest.fixture
def night(tmp_path):
    """A configuration, its undisturbed result, and what makes the environment of a poisoned run."""
    simulate_night(tmp_path / "frames", frames=FRAMES, shape=(48, 56), stars=[(28, 22, 1.0)], seed=4)
    config = {
        "input": {"files": sorted(map(str, (tmp_path / "frames").glob("*.fits")))},
        "output": {"block": 2},
        "sources": [{"name": "star", "x": 28, "y": 22}],
        "apertures": [{"radius": [3, 5]}],
        "sky": [{"method": "annulus", "inner": 8, "outer": 12}],
        "cluster": {"kind": "none"},
    }
    assert Client(config, tmp_path / "whole.zarr").end() == 0
    site = poison.prepare(tmp_path / "site")

    def poisoned(*names, within="read_but"):
        return environment(paths=[site], POISON=" ".join(names), POISON_IN=within)

    return config, poisoned


# Of the trial frames, in the midst and the last; with a pass for the positions. Nothing is registered, as that reads frames
# for the plan already.
CASES = {
    "many": (["night-0001", "night-0013", "night-0024"], {"center": {"registration": "off"}}),
    "two passes": (["night-0007"], {"center": {"position": "median"}}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("names", "sections"), CASES.values(), ids=CASES)
def test_a_file_that_kills_the_run_itself(night, tmp_path, names, sections):
    config, poisoned = night
    config |= sections
    guilty = [int(name[-4:]) - 1 for name in names]
    client = Client(config, tmp_path / "a.zarr", env=poisoned(*names))
    assert client.end() == -signal.SIGKILL, client.said
    client = Client(config, tmp_path / "a.zarr", env=poisoned(*names))
    assert client.end() == 1, client.said
    assert "the run before this one was killed: frames are read in a process of their own" in client.said
    for name, frame in zip(names, guilty, strict=True):
        assert f"{name}.fits, frame {frame}: 3 processes died (SIGKILL) that read it" in client.said
    told = told_status(tmp_path / "a.zarr")
    assert [(item["first"], item["last"], item["killed"]) for item in told["set_aside"]] == [
        (frame, frame, True) for frame in guilty
    ]
    found = tsogrid.open_result(tmp_path / "a.zarr").load()
    assert np.flatnonzero(found.flags[:, 0] & int(SourceFlag.UNREADABLE)).tolist() == guilty
    if "position" not in sections["center"]:
        whole = tsogrid.open_result(tmp_path / "whole.zarr").load()
        others = ~np.isin(np.arange(FRAMES), guilty)
        for name in whole.data_vars:
            assert found[name].to_numpy()[others].tobytes() == whole[name].to_numpy()[others].tobytes(), name
    client = Client(config, tmp_path / "a.zarr", env=poisoned(*names))  # it tries them again, and outlives that
    assert client.end() == 1, client.said
    assert "killed who read it: frames are read in a process of their own" in client.said
    client = Client(config, tmp_path / "a.zarr")  # mended
    assert client.end() == 0, client.said
    assert Client(config, tmp_path / "b.zarr").end() == 0, "an undisturbed one"
    assert not differences(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_a_file_that_kills_who_opens_it_is_named(night, tmp_path):
    config, poisoned = night
    bad = poisoned("night-0007", within="scan")
    assert Client(config, tmp_path / "a.zarr", env=bad).end() == -signal.SIGKILL
    client = Client(config, tmp_path / "a.zarr", env=bad)
    assert client.end() == 1, client.said
    last = client.said.splitlines()[-1]
    assert "3 processes died, one after the other (SIGKILL)" in last
    assert "night-0007.fits" in last
    config["input"]["exclude"] = ["*0007*"]
    client = Client(config, tmp_path / "a.zarr", env=bad)
    assert client.end() == 0, client.said


def test_a_file_that_kills_the_trial_of_a_run_with_workers(night, tmp_path):
    config, poisoned = night
    config["cluster"] = {"kind": "local", "workers": 2}
    bad = poisoned("night-0002")
    assert Client(config, tmp_path / "a.zarr", env=bad).end() == -signal.SIGKILL
    client = Client(config, tmp_path / "a.zarr", env=bad)
    assert client.end() == 1, client.said
    assert "night-0002.fits, frame 1: 3 workers died that read it" in client.said
    assert Client(config, tmp_path / "a.zarr").end() == 0
    assert not differences(tmp_path / "a.zarr", tmp_path / "whole.zarr")
