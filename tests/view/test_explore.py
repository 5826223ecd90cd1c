"""The explorer without a browser: what it shows of a result, which points, which pixels, and settings that come back."""

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

import tsogrid
from tsogrid.analysis.averaging import allan
from tsogrid.analysis.reference import relative
from tsogrid.cli.main import main
from tsogrid.errors import ConfigError
from tsogrid.view.explore.data import Explored, clipped
from tsogrid.view.explore.pictures import frame_number, stamp, whole_frame
from tsogrid.view.explore.settings import Settings, first_settings, read_settings
from tsogrid.view.explore.thinning import band, shown
from tsogrid.view.report_frames import Found

pytest.importorskip("panel")

RING = "annulus8-11-clipped-median"
STARS = ((20.2, 15.1, 2e4), (40.6, 18.3, 3e4), (60.1, 12.2, 1e4))


@pytest.fixture(scope="module")
def night():
    """Sixty frames of three stars, and their result."""
    rng = np.random.default_rng(4)
    y, x = np.indices((32, 80))
    n = 60
    dim = 1 - 0.02 * ((np.arange(n) > 20) & (np.arange(n) < 40))
    data = np.empty((n, 32, 80))
    for i in range(n):
        light = [f * (dim[i] if k == 0 else 1) for k, (_, _, f) in enumerate(STARS)]
        stars = sum(
            f / (2 * np.pi * 2.25) * np.exp(-((x - a - 0.01 * i) ** 2 + (y - b) ** 2) / 4.5)
            for f, (a, b, _) in zip(light, STARS, strict=True)
        )
        data[i] = stars + 50 + rng.normal(0, 5, x.shape)
    data[33, 15, 20] += 9e4
    frames = xr.Dataset({"data": (("time", "y", "x"), data), "error": (("time", "y", "x"), np.full(data.shape, 5.0))})
    sources = [
        {"name": name, "x": a, "y": b, "role": role}
        for name, role, (a, b, _) in zip(("target", "one", "two"), ("target", "reference", "reference"), STARS, strict=True)
    ]
    ring = {"method": "annulus", "inner": 8, "outer": 11}
    sky = [ring, ring | {"inner": 9, "outer": 12, "statistic": "mean"}]
    config = {"sources": sources, "apertures": [{"shape": "circle", "radius": [3, 5, 6]}], "sky": sky}
    return frames, tsogrid.measure(tsogrid.open_frames(frames), tsogrid.Config.model_validate(config)).compute()


def page_of(night, **changes):
    import panel as pn

    from tsogrid.view.explore.page import Page

    pn.extension()
    frames, result = night
    found = Found(tsogrid.open_frames(frames), None, "the frames that were given")
    page = Page(Explored(result), found, first_settings(result), "night.zarr")
    page.layout()
    page._worker.submit(int).result()
    for name, value in changes.items():
        getattr(page, name).value = value
    return page


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 500), st.integers(2, 60))
def test_extremes_are_among_the_points_that_are_shown(seed, n, most):
    rng = np.random.default_rng(seed)
    time, values = np.sort(rng.random(n)), rng.normal(size=n)
    values[rng.random(n) < 0.2] = np.nan
    number = shown(time, values, 0.0, 1.0, most)
    good = np.flatnonzero(np.isfinite(values))
    assert np.all(np.diff(number) > 0)
    assert number.size <= max(most, 2)
    assert set(number) <= set(good)
    if good.size:
        assert {np.nanmin(values), np.nanmax(values)} <= set(values[number])
    if good.size <= most:
        assert number.tolist() == good.tolist()


def test_a_part_of_the_series_shows_all_its_points():
    time, values = np.arange(1e5), np.random.default_rng(1).normal(size=100_000)
    assert shown(time, values, 0, 1e5).size <= 3000
    number = shown(time, values, 500.0, 1500.0)
    np.testing.assert_array_equal(number, np.arange(2001))
    assert band(time, values, number)[0].size == 0
    number = shown(time, values, 0, 1e5)
    place, low, high = band(time, values, number)
    assert place.size == number.size // 2
    assert (low <= high).all()
    assert {low.min(), high.max()} == {values.min(), values.max()}


def test_the_page_shows_the_analysis(night):
    _, result = night
    explored, chosen = Explored(result), first_settings(result)
    assert chosen == Settings("target", "r5", RING, ("one", "two"))
    expected = relative(result, "target", "r5", RING)
    np.testing.assert_array_equal(explored.curve(chosen)["flux"], expected["flux"])
    np.testing.assert_array_equal(explored.noise(chosen)["rms"], allan(expected)["rms"])
    np.testing.assert_array_equal(explored.series(chosen, "x"), result["x"][:, 0] - result["x"][:, 0].median())
    np.testing.assert_array_equal(explored.series(chosen, "sky_level"), result["sky_level"][:, 0, 0])


def test_a_wild_point_is_clipped_and_a_dip_is_not(night):
    curve = relative(night[1], "target", "r5", RING)
    left = clipped(curve, 6.0)
    assert np.flatnonzero(np.isnan(left["flux"])).tolist() == [33]
    assert left.attrs["clipped"] == 1
    flat = curve.assign(flux=curve["flux"] * 0 + 1)
    assert clipped(flat, 3.0).attrs["clipped"] == 0


def test_a_choice_changes_the_curve(night):
    page = page_of(night)
    drawn = page.curve.columns["points"]
    before = np.array(drawn.data["value"])
    page.aperture.value = "r3"
    expected = relative(night[1], "target", "r3", RING)["flux"].to_numpy()
    np.testing.assert_array_equal(drawn.data["value"], expected)
    assert not np.array_equal(before, expected)
    page.references.value = ["two"]
    np.testing.assert_array_equal(drawn.data["value"], relative(night[1], "target", "r3", RING, references=["two"])["flux"])
    page.clip.value = 6.0
    assert len(drawn.data["value"]) == 59
    page.bin.value = 5
    assert len(page.curve.columns["bins"].data["value"]) == 12
    page.source.value = "one"  # which was no reference of its own
    assert page.settings.references == ("two",)
    assert not page.trouble.visible
    page._worker.submit(int).result()
    assert len(page.scores.columns["cells"].data["value"]) == 6


def test_a_click_shows_the_frame_of_its_point(night):
    from types import SimpleNamespace

    page = page_of(night)
    drawn = page.curve.columns["points"].data
    page.curve.figure.y_range.update(start=0.9, end=1.1)
    page._tapped(page.curve, SimpleNamespace(x=drawn["time"][17] + 0.2, y=drawn["value"][17]))
    assert page.settings.frame == 17
    assert page.number.value == 17
    image = page.stamp.columns["image"].data
    rows, columns = image["image"][0].shape
    first, left = round(image["y"][0] + 0.5), round(image["x"][0] + 0.5)
    np.testing.assert_array_equal(image["image"][0], night[0]["data"][17, first : first + rows, left : left + columns])
    assert "frame 17 of 60" in page.words.object
    page.after.clicks += 1
    assert page.settings.frame == 18
    page._cell_tapped(SimpleNamespace(x=2.5, y=1.5))
    assert (page.settings.aperture, page.settings.sky) == ("r6", "annulus9-12-mean")
    assert page.stamp.columns["round"].data["width"][0] == 12.0


def test_what_is_exported_is_what_is_shown(night, tmp_path):
    page = page_of(night, aperture="r3", clip=6.0, number=7)
    expected = page.curve.columns["points"].data["value"]
    table = Table.read(page._as_ecsv().read().decode(), format="ascii.ecsv")
    np.testing.assert_array_equal(np.asarray(table["flux"])[np.isfinite(table["flux"])], expected)
    import pandas as pd

    read = pd.read_csv(page._as_csv(), comment="#")
    np.testing.assert_allclose(read["flux"].dropna(), expected, rtol=1e-15)
    path = tmp_path / "again.yaml"
    path.write_bytes(page._as_yaml().read())
    assert read_settings(path, night[1]) == page.settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aperture: r99", "aperture: expected one of r3, r5, r6; found 'r99'"),
        ("radius: 3", "expected the keys source"),
        ("clip: many", "clip: expected a number from 0 to 100"),
        ("references: [target]", "references: expected one of one, two; found 'target'"),
        ("- 3", "found list"),
        ("a: [", "found none"),
    ],
)
def test_settings_that_do_not_fit_are_refused(night, tmp_path, text, said):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.yaml") as caught:
        read_settings(path, night[1])
    assert said in str(caught.value)


@pytest.mark.parametrize(("shape", "side"), [((32, 80), 80), ((900, 1000), 334), ((801, 17), 6)])
def test_a_large_frame_is_made_small(shape, side):
    data = np.random.default_rng(0).normal(100, 1, (2, *shape))
    data[1, 0, 1] = np.nan
    frames = xr.Dataset({"data": (("time", "y", "x"), data)})
    small = whole_frame(frames, 1)
    assert small.image.shape[1] == side
    step = small.width / side
    assert np.isfinite(small.image[1:]).all()
    part = data[1, : int(step), : int(step)]
    assert small.image[0, 0] == pytest.approx(np.nanmean(part))
    corner = stamp(frames, 0, -3.0, 2.0, 5.0)
    assert corner.image.shape == (min(shape[0], 8), min(shape[1], 3))


def test_frames_are_found_among_fewer(night):
    _, result = night
    fewer = result[["flux"]].isel(time=slice(10, 20))
    assert frame_number(fewer, result, 15) == 5
    assert frame_number(fewer, result, 3) is None


def test_wrong_use_is_one_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as status:
        main(["explore", str(tmp_path / "none.zarr"), "--no-browser"])
    assert status.value.code == 1
    assert "expected a tsogrid store" in capsys.readouterr().err
