"""``tsogrid stats``: a table for the eye, numbers for a program, one message for what is not there."""

import json
import re

import pytest
import zarr

import tsogrid as package
from tsogrid.analysis.stats import stats


@pytest.fixture
def store(tsogrid, write_config, data, here):
    assert tsogrid("run", write_config(apertures=[{"shape": "circle", "radius": [3, 4]}])).status == 0
    return here / "night.zarr"


def test_a_table_in_a_pipe(tsogrid, store):
    outcome = tsogrid("stats", store)
    assert (outcome.status, outcome.err) == (0, "")
    title, head, *rows = outcome.out.splitlines()
    assert title == "# 10 frames, as measured; scatter in % of the flux; ratio = p2p/error"
    assert head.split() == ["source", "aperture", "sky", "points", "flags", "std", "MAD", "p2p", "error", "ratio"]
    assert len(rows) == 1
    assert rows[0].split()[0] == "target"
    assert rows[0].split()[3:5] == ["9", "1"]  # the eighth integration is NaN
    every = tsogrid("stats", store, "--source", "all", "--aperture", "all", "--sky", "0", "--absolute").out.splitlines()
    assert [line.split()[1] for line in every[2:]] == ["r3", "r4"]
    assert tsogrid("stats", store, "--aperture", "4").out.splitlines()[2].split()[1] == "r4"


def test_numbers_for_a_program(tsogrid, store):
    rows = json.loads(tsogrid("stats", store, "--aperture", "r3", "--json").out)
    (known,) = stats(package.open_result(store), aperture=3).to_dict("records")
    assert rows == [known]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_what_fits(store, capsys, monkeypatch, width):
    from tsogrid.cli.stats import show

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    (row,) = stats(package.open_result(store)).to_dict("records")
    show([row | {"binned_10": 0.00812, "binned_30": 0.00456, "binned_100": 0.00123, "sky": "rowamp16+" + row["sky"]}])
    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= width
    assert any("─" in line for line in lines)
    assert ("sky 0: rowamp16+annulus7-12-clipped-median" in lines) == (width == 80)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--source", "x"], ["target", "'x'"], 2),
        (["--aperture", "9"], ["3, 4", "9"], 2),
        (["--sky", "3"], ["annulus7-12-clipped-median", "3"], 2),
        (["--relative"], ["reference star", "role: reference"], 2),
    ],
)
def test_what_is_not_there(refused, store, options, words, status):
    refused("stats", store, *options, status=status, words=words)


def test_no_store_and_a_damaged_one(refused, store, here):
    refused("stats", here / "no.zarr", words=["no.zarr", "tsogrid run"])
    chunk = next(path for path in (store / "flux").rglob("*") if path.is_file() and path.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(bytes(content))
    assert zarr.open_group(store, mode="r")["flux"].shape[0] == 10
    refused("stats", store, words=["damaged"])
