"""The report: one HTML file that loads nothing, holds what it promises, and says what it lacks."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

import tsogrid
from tests.analysis.nights import night as made_night
from tsogrid.analysis.failures import failures, ranges
from tsogrid.flags import SourceFlag
from tsogrid.view.plot import time_axis
from tsogrid.view.report_frames import find_frames
from tsogrid.view.report_page import Section, facts, page, paragraph, table

EMPTY = {"meta", "link", "img", "br", "hr"}
SECTIONS = ["run", "lightcurves", "frames", "statistics", "references", "flags", "failures", "configuration", "inputs"]


class Reader(HTMLParser):
    """Checks that what is opened is closed, and gathers what a browser would load."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.texts, self.names, self.images = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        assert tag not in ("script", "iframe", "object", "embed", "base", "form"), tag
        assert not [name for name in given if name.startswith("on")], given
        if tag not in EMPTY:
            self.open.append(tag)
        self.loads += [given[name] for name in ("src", "srcset", "data", "poster", "background") if name in given]
        self.loads += [given["href"]] if "href" in given else []
        self.names += [given["id"]] if "id" in given else []
        if tag == "img":
            assert given["alt"]
            self.images.append(given["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(path):
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    for each in reader.loads:
        assert each.startswith(("data:", "#")), each[:80]
    assert all(each.startswith("data:image/png;base64,") for each in reader.images)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    return reader, " ".join(" ".join(reader.texts).split())


def test_everything_is_there(rows, exposure, tmp_path):
    result, _ = rows
    written = result.tso.report(tmp_path / "r.html", exposure.files)
    reader, text = read(written.path)
    assert written.missing == ()
    assert reader.names == SECTIONS
    assert len(reader.images) == 12  # seven of the target, five of the frames
    for word in ("From the files that were given.", "r3, r4", "no_data", "rowamp12+annulus8-14-clipped-median", "BJD_TDB"):
        assert word in text
    for item in json.loads(result.attrs["identity"])["inputs"]:
        assert item["name"] in text
        assert item["hash"] in text
    assert written.path.stat().st_size < 3e6


def test_the_configuration_can_be_used_again(night, tmp_path):
    result, frames = night
    written = result.tso.report(tmp_path / "r.html", frames)
    source = written.path.read_text(encoding="utf-8")
    body = re.search(r"<pre>(.*?)</pre>", source, re.DOTALL).group(1)
    from html import unescape

    content = yaml.safe_load(unescape(body))
    assert tsogrid.Config.from_mapping(content).scientific() == json.loads(result.attrs["config"])
    _, text = read(written.path)
    assert "s1" in text
    assert "expected (%)" in text
    assert "Every flux is finite." in text


def test_frames_are_found_beside_the_store(night, tsogrid_command, shapes_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out = tsogrid_command("report", shapes_folder / "night.zarr", "--output", "page.html")
    assert (status, out) == (0, f"page.html: written from {shapes_folder / 'night.zarr'}\n")
    _, text = read(tmp_path / "page.html")
    assert "From the files of the run." in text
    hidden = shapes_folder / "frames"
    hidden.rename(shapes_folder / ".away.zarr")
    try:
        status, out = tsogrid_command("report", shapes_folder / "night.zarr", "--output", "page.html")
        assert status == 0
        assert "missing: star map (not drawn: none of its files was found; give them: --frames FILES" in out
        reader, text = read(tmp_path / "page.html")
        assert len(reader.images) == 7
        assert "star map, stamps, bad pixels: not drawn" in text
        files = sorted((shapes_folder / ".away.zarr").glob("*.fits"))
        status, out = tsogrid_command("report", shapes_folder / "night.zarr", "--output", "page.html", "--frames", *files)
        assert (status, "missing" in out) == (0, False)
    finally:
        (shapes_folder / ".away.zarr").rename(hidden)


def test_frames_are_found_where_a_configuration_beside_the_store_says(night, shapes_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = tsogrid.open_result(shapes_folder / "night.zarr")
    result.encoding["source"] = str(tmp_path / "moved.zarr")
    assert find_frames(result).frames is None
    (tmp_path / "broken.yaml").write_text("a: [")
    for text in (
        f"input: {{files: ['{shapes_folder}/frames']}}", f"input: {{files: '{shapes_folder}/fr*/*.fits'}}",
        f"procFiles: {shapes_folder}/frames/*.fits",
    ):  # fmt: skip
        (tmp_path / "moved.yaml").write_text(text)
        found = find_frames(result)
        assert (found.said, found.frames.sizes["time"]) == ("the files of the run", 12)


def test_times_are_shown_from_a_day_that_is_told_later(shapes_folder, tsogrid_command, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("tsogrid.view.series.time_axis", lambda time, day: said.append(day) or time_axis(time, day))
    status, _ = tsogrid_command(
        "report", shapes_folder / "night.zarr", "--output", tmp_path / "p.html", "--time-reference", 2460000
    )
    assert (status, set(said)) == (0, {2460000.0})
    text = (shapes_folder / "night.zarr" / "zarr.json").read_text()
    assert "time_reference" not in json.loads(text)["attributes"]


@pytest.fixture
def tsogrid_command(capsys):
    from tsogrid.cli.main import main

    def command(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        return left.value.code or 0, capsys.readouterr().out

    return command


def test_a_result_without_store_frames_or_light(tmp_path):
    result = made_night(40, noise=False)
    result["flux"][:] = np.nan
    result["flags"][3:9] = int(SourceFlag.CENTER_FAILED)
    written = result.tso.report(tmp_path / "r.html")
    _, text = read(written.path)
    assert "No light curve: relative: expected" in text
    assert "center_failed" in text
    assert "3-8" in text
    assert "no flag" in text
    assert any(each.startswith("star map") for each in written.missing)


def test_everything_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>&amp;\""
    result = made_night(60).assign_coords(source=np.array([evil, "b", "c", "d", "e"], object))
    result.attrs["target"] = evil
    written = result.tso.report(tmp_path / "r.html")
    reader, _ = read(written.path)
    assert any(evil in text for text in reader.texts)
    text = page(evil, evil, [Section("a", evil, (paragraph(evil), table([evil], [[evil]]), facts([(evil, evil)])))])
    assert "<script" not in text


def test_failures_are_gathered_by_their_reasons():
    result = made_night(30, apertures=2)
    assert failures(result).empty
    result["flux"][4:7, 0] = np.nan
    result["flags"][4:7, 0] = 1
    result["flux"][9, 0, 1] = np.nan
    result["aperture_flags"][9, 0, 1] = 2
    result["flux"][12, 2] = np.nan
    rows = failures(result).to_dict("records")
    assert rows == [
        {"source": "target", "frames": 3, "which": "4-6", "cells": "all", "reasons": "no_data"},
        {"source": "target", "frames": 1, "which": "9", "cells": "1 of 2", "reasons": "off_frame"},
        {"source": "ref2", "frames": 1, "which": "12", "cells": "all", "reasons": "no flag"},
    ]
    assert result.tso.failures().equals(failures(result))
    assert ranges([]) == ""
    assert ranges(list(range(0, 60, 2)), most=3) == "0, 2, 4 and 27 more"


@pytest.mark.slow
def test_a_long_series_stays_small(tmp_path):
    from time import process_time

    result = made_night(100_000, apertures=3, skies=2)
    rng = np.random.default_rng(1)
    for name in ("x", "y", "sigma_x", "sigma_y"):
        result[name] = (("time", "source"), rng.normal(10, 0.1, (100_000, 5)), {"units": "pixel"})
    result["sky_level"] = (("time", "source", "sky"), rng.normal(5, 0.1, (100_000, 5, 2)), {"units": "adu / pixel"})
    begin = process_time()
    written = result.tso.report(tmp_path / "r.html")
    assert process_time() - begin < 20
    assert written.path.stat().st_size < 3e6
