"""The benchmarks still run: results compared with the peers', few frames, classes of asv set up."""

import importlib
import inspect
import json
import warnings

import pytest

from benchmarks import contest, jobs, peers

pytest.importorskip("sep")


def small(name):
    return list(importlib.import_module(f"benchmarks.bench_{name}").contests(quick=True))


@pytest.mark.parametrize("name", [name for name in peers.MODULES if name != "amplifier"])
def test_peers_find_the_same_numbers(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        made = small(name)
        assert made
        for each in made:
            each.compare()


def test_other_numbers_are_noticed():
    peer = contest.Runner(lambda: [1.0 + 1e-6], 1)
    with pytest.raises(AssertionError, match="case: peer"):
        contest.Contest("case", contest.Runner(lambda: [1.0, 2.0], 2), {"peer": peer}).compare()


def test_the_table_is_printed_and_written(tmp_path, capsys):
    path = tmp_path / "table.json"
    rows = peers.main(["--quick", "--rounds", "1", "--case", "centre of mass", "--json", str(path)])
    assert [row["runner"] for row in rows] == ["tsogrid", "photutils centroid_com"]
    written = json.loads(path.read_text())
    assert written["table"] == rows
    assert written["machine"]["photutils"] in capsys.readouterr().out
    assert rows[0]["ratio"] == 1.0
    assert all(row["low"] <= row["median"] <= row["high"] for row in rows)


def test_jobs_are_timed_beside_the_chain():
    times = jobs.main(["--size", "64", "64", "--frames", "3", "--rounds", "1"])
    assert len(times) == 20  # nine kinds of thirty skies, the last of each alone, the chain, two passes
    assert min(times.values()) > 0


@pytest.mark.parametrize("name", [name for name in peers.MODULES if name not in ("amplifier", "chain")])
def test_classes_of_asv_have_timed_methods(name):
    module = importlib.import_module(f"benchmarks.bench_{name}")
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    assert classes
    words = ("time_", "mem_", "peakmem_", "track_")
    loose = [name for name, each in vars(module).items() if name.startswith(words) and inspect.isfunction(each)]
    assert not loose, "asv takes these for benchmarks"
    for each in classes:
        timed = [method for method in dir(each) if method.startswith("time_")]
        assert timed, f"{each.__name__} times nothing"
        assert callable(each.setup)
