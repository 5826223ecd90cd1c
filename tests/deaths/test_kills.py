"""Real deaths of a running job: whatever is killed, the end is the bytes of an undisturbed run, and nothing hangs.

``python -m tests.deaths.random_kills`` does the same with victims and moments drawn at random, as often as one likes.
"""

import time
from pathlib import Path

import pytest

from tests.deaths.network import FAR, NEAR, two_hosts
from tests.deaths.processes import Client, cluster_of
from tests.deaths.random_kills import Rounds, configuration, differences

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.mark.parametrize(("kind", "victim"), [("local", "all workers"), ("address", "scheduler")])
def test_whoever_is_killed_the_bytes_are_the_same(tmp_path, kind, victim):
    with Rounds(tmp_path, kind, frames=120, seed=3, span=12.0) as rounds:
        told = rounds.round(0, victim)
        assert not told.wrong, told
        assert not told.again, told


def test_a_network_that_is_cut_for_some_seconds(tmp_path):
    config = configuration(tmp_path / "frames", 160)
    assert Client(config, tmp_path / "whole.zarr", "--cluster", "none").end() == 0
    with two_hosts() as link, cluster_of(tmp_path, host=NEAR, prefixes=link.prefixes) as cluster:
        client = Client(config, tmp_path / "a.zarr", "--cluster", cluster.address, prefix=link.prefixes[0])
        assert client.until(2), client.said
        link.cut()
        time.sleep(5)
        link.mend()
        assert client.end() == 0, client.said
    assert FAR in "".join(path.read_text() for path in Path(tmp_path).glob("worker-*.log"))
    assert not differences(tmp_path / "a.zarr", tmp_path / "whole.zarr")
