"""``tsogrid report``: one page, one line that names it, one message for what goes wrong."""

import pytest


@pytest.fixture
def store(tsogrid, write_config, data, here):
    assert tsogrid("run", write_config()).status == 0
    return here / "night.zarr"


def test_a_page_beside_the_store(tsogrid, store, here):
    outcome = tsogrid("report", store)
    assert (outcome.status, outcome.out) == (0, f"{here / 'night.html'}: written from {store}\n")
    text = (here / "night.html").read_text(encoding="utf-8")
    assert "From the files of the run." in text
    assert "<td>7</td>" in text  # the eighth integration is NaN
    assert "no_data" in text


def test_other_frames_are_named(tsogrid, store, here, night_files):
    outcome = tsogrid("report", store, "--frames", night_files[0].parent, "--output", "r.html")
    assert outcome.status == 0
    assert "missing: star map (not drawn: frames: expected 32 × 48 pixels" in outcome.out
    assert "missing: positions" not in outcome.out


def test_what_goes_wrong(refused, store, here):
    refused("report", here / "no.zarr", words=["no.zarr", "tsogrid run"])
    refused("report", store, "--output", here / "none" / "r.html", words=["r.html", "No such file"])
    chunk = next(path for path in (store / "flux").rglob("*") if path.is_file() and path.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(bytes(content))
    refused("report", store, words=["damaged"])
