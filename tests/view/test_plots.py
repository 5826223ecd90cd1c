"""Plots of a result and of its frames: what they show is what was measured, and their words stand apart at any width."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot
from matplotlib.patches import Ellipse, Rectangle

import tsogrid
from tests.analysis.nights import night as made_night
from tests.view.boxes import check
from tsogrid.errors import ConfigError
from tsogrid.simulate.wandering import simulate_wandering
from tsogrid.view.outlines import fewer, outlines
from tsogrid.view.pixels import sweep
from tsogrid.view.style import middles, new_axes, new_picture, within

WIDTHS = (80, 160)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["light_curve", "noise", "scores", "positions", "widths", "sky", "flux_position"])
@pytest.mark.parametrize("which", ["night", "rows"])
def test_words_of_series_stand_apart(which, kind, width, request):
    result, _ = request.getfixturevalue(which)
    check(getattr(result.tso.plot, kind)(new_axes(width, 0.62 * width)).figure)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["star_map", "bad_pixels"])
@pytest.mark.parametrize("which", ["night", "rows"])
def test_words_of_maps_stand_apart(which, kind, width, request):
    result, frames = request.getfixturevalue(which)
    axes = new_picture((frames.sizes["y"], frames.sizes["x"]), width).subplots()
    check(getattr(result.tso.plot, kind)(frames, axes).figure)


@pytest.mark.parametrize("width", WIDTHS)
def test_words_of_many_panels_stand_apart(night, rows, width):
    result, frames = night
    check(result.tso.plot.stamps(frames, pyplot.figure(figsize=(width / 25.4, 4), layout="constrained"))[0].figure)
    result, frames = rows
    shape = (frames.sizes["y"], frames.sizes["x"])
    check(result.tso.plot.one_over_f(frames, new_picture(shape, width, rows=2))[0].figure)
    check(result.tso.plot.row_levels(frames, new_axes(width, 0.62 * width)).figure)
    absolute = result.tso.lightcurve(aperture=3, sky=0)
    check(absolute.tso.plot.light_curve(new_axes(width, 0.62 * width)).figure)


def test_default_figures(night, rows):
    result, frames = night
    check(result.tso.plot.star_map(frames).figure)
    check(result.tso.plot.stamps(frames)[0].figure)
    result, frames = rows
    check(result.tso.plot.one_over_f(frames)[0].figure)


def test_positions_and_skies_are_those_of_the_result(night):
    result, _ = night
    x, y = (line.get_ydata() for line in result.tso.plot.positions(source="s1").lines[:2])
    np.testing.assert_allclose(x, result.x[:, 1] - result.x[:, 1].median())
    np.testing.assert_allclose(y, result.y[:, 1] - result.y[:, 1].median())
    axes = result.tso.plot.sky(time_reference=2460380)
    assert axes.get_xlabel() == "JD_UTC − 2460380 (d)"
    levels = result.sky_level.isel(source=0).values
    assert [text.get_text().split(" − ")[0] for text in axes.get_legend().get_texts()] == [
        "sky 0",
        "sky 1",
        "sky 2",
        "sky 3",
    ]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), levels[:, 1] - np.median(levels[:, 1]))


def test_a_correlation_is_told():
    result = made_night(100)
    offset = np.linspace(-1, 1, 100)
    for name, values in (("x", offset), ("y", np.zeros(100))):
        result[name] = (("time", "source"), np.repeat(values[:, None], 5, axis=1), {"units": "pixel"})
    result["sky_level"] = (("time", "source", "sky"), np.zeros((100, 5, 1)))
    result["flux"] = result.flux * (1 + 0.1 * xr.DataArray(offset, dims="time")).where(result.source == "target", 1)
    texts = [text.get_text() for text in result.tso.plot.flux_position().get_legend().get_texts()]
    assert texts[0].startswith("x, r = +1.0")
    assert texts[1] == "y"
    with pytest.raises(ConfigError, match="sigma_x"):
        result.tso.plot.widths()
    with pytest.raises(ConfigError, match="level that changes"):
        result.tso.plot.sky()


def test_outlines_are_the_regions_of_the_configuration(night):
    result, _ = night
    found = {(each.label, each.kind): each for each in outlines(result)}
    assert (found["r6", "aperture"].width, found["r6", "aperture"].round) == (12, True)
    box = found["rect16x8", "aperture"]
    assert (box.width, box.height, box.round) == (16, 8, False)
    rings = [each.width for each in outlines(result) if each.label == "annulus3-7"]
    assert rings == [6, 14]
    radius = float(result.aperture_radius.sel(aperture="x1.5").median())
    assert found["x1.5", "aperture"].width == pytest.approx(2 * radius, rel=0.02)
    beside = next(each for each in outlines(result) if each.kind == "sky" and not each.round)
    assert (beside.dx, beside.dy, beside.reach) == (16, 0, 20)
    scaled = [each.width / 2 for each in outlines(result) if each.label.endswith("-x1.5") and each.kind == "sky"]
    np.testing.assert_allclose(scaled, [10 + radius - 5, 16 + radius - 5], rtol=0.02)
    many = [each for each in outlines(result) if each.label == "r6"] * 9
    assert len(fewer(many)) == 5


def test_a_star_map_has_every_source_where_it_is(night):
    result, frames = night
    axes = result.tso.plot.star_map(frames)
    assert sorted(text.get_text() for text in axes.texts) == ["s0", "s1", "s2"]
    centres = {patch.get_center() for patch in axes.patches if isinstance(patch, Ellipse)}
    for star in range(3):
        expected = (float(result.x[:, star].median()), float(result.y[:, star].median()))
        assert any(np.allclose(expected, centre) for centre in centres)
    assert sum(isinstance(patch, Rectangle) for patch in axes.patches) == 6
    median = axes.images[0].get_array()
    np.testing.assert_allclose(median, np.median(frames["data"].values, axis=0), rtol=1e-6)


def test_of_a_field_that_moves_frames_at_one_place_are_shown():
    """The median of all would show no star."""
    moving = simulate_wandering(9, (200, 220), stars=40, faintest=1e4, jump=0.1, flip=False, seed=3)
    inside = (moving.x > 30) & (moving.x < 190) & (moving.y > 30) & (moving.y < 170)
    star = int(np.argmax(np.where(inside.all(axis=0), moving.flux, 0)))
    place = {"x": float(moving.x[0, star]), "y": float(moving.y[0, star])}
    frames = tsogrid.open_frames(moving.data)
    result = tsogrid.measure(
        frames, center={"registration": "on"}, sources=[{"name": "s", **place}], input={"gain": 1.0}
    ).load()
    seen = sweep(result, frames)
    assert seen.attrs["still"] < 4
    row, column = round(float(seen["y"][0])), round(float(seen["x"][0]))
    assert seen["median"][row, column] > 0.5 * float(result.amplitude.median())
    centre = result.tso.plot.star_map(seen).patches[0].get_center()
    np.testing.assert_allclose(centre, (seen["x"][0], seen["y"][0]))


def test_bad_pixels_are_counted(rows):
    result, frames = rows
    seen = sweep(result, frames)
    assert seen.attrs == {"frames": 25, "of": 30, "still": 25}
    bad = (frames["dq"].values & 1) != 0
    bad |= ~np.isfinite(frames["data"].values)
    chosen = np.unique(np.linspace(0, 29, 25).round().astype(int))
    np.testing.assert_allclose(seen["bad"], bad[chosen].mean(axis=0))
    title = result.tso.plot.bad_pixels(seen).get_title()
    assert title.startswith(f"{bad[chosen].all(axis=0).sum()} pixels bad always")


def test_the_row_model_takes_the_levels_off(rows):
    result, frames = rows
    before, after = (line.get_ydata() for line in result.tso.plot.row_levels(frames).lines)
    assert np.std(after) < 0.4 * np.std(before)
    assert [axes.get_title() for axes in result.tso.plot.one_over_f(frames, frame=3)] == ["before, less its median", "after"]
    for wrong, words in (({"frame": 30}, "from 0 to 29, found 30"), ({"sky": "x"}, "found 'x'")):
        with pytest.raises(ConfigError, match=words):
            result.tso.plot.one_over_f(frames, **wrong)


def test_frames_that_do_not_belong(night, rows):
    result, frames = night
    with pytest.raises(ConfigError, match="rowamp or readout-gp"):
        result.tso.plot.row_levels(frames)
    with pytest.raises(ConfigError, match="110 × 120"):
        result.tso.plot.star_map(rows[1])
    with pytest.raises(ConfigError, match="of the times of the result, found none"):
        result.tso.plot.stamps(frames.assign_coords(time=frames.time + 5, jd_utc=frames.jd_utc + 5))
    some = result.tso.plot.star_map(frames.isel(time=slice(3, 8)))
    assert some.texts


def test_a_wild_point_does_not_flatten_the_rest():
    axes = new_axes()
    values = np.append(np.sin(np.arange(99.0)), 1e6)
    assert within(axes, values) == 1
    assert axes.get_ylim()[1] < 2
    assert within(axes, np.full(9, np.nan)) == 0
    place, middle = middles(np.arange(100.0), np.where(np.arange(100) % 2, np.nan, 3.0), 10)
    np.testing.assert_array_equal(middle, np.full(10, 3.0))
    assert len(place) == 10


def test_single_wild_points_lie_outside_a_light_curve():
    flux = np.random.default_rng(1).normal(1, 1e-3, 60)
    flux[20:24] -= 0.05  # an eclipse, however short and deep, is seen
    curve = xr.Dataset({"flux": ("time", flux)}, {"time": np.arange(60)})
    axes = curve.tso.plot.light_curve(new_axes())
    assert axes.get_ylim()[0] < 0.95
    flux[[5, 40]] = 0.2, 7.0
    axes = curve.tso.plot.light_curve(new_axes())
    assert 0.9 < axes.get_ylim()[0] < 0.95
    assert axes.get_ylim()[1] < 1.1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["frames", "2 outside"]
    check(axes.figure)
    assert curve.tso.bin(count=2).tso.plot.light_curve(new_axes()).get_legend().get_texts()[0].get_text() == "bins"


def test_small_stamps_have_no_numbers(night):
    result, frames = night
    figure = pyplot.figure(figsize=(2.4, 2.0), layout="constrained")
    panels = result.tso.plot.stamps(frames, figure)
    assert all(not axes.get_xticks().size for axes in panels)
    assert "pixels across" in figure.get_supxlabel()
    check(figure)


def test_the_frame_of_the_map_is_the_choice():
    result = made_night(60, apertures=3, skies=2)
    result["flux"][10:, 0, 0] = result["flux"][0, 0, 0]  # the quietest, and hardly measured
    result["flux"][10:30, 0, 0] = np.nan
    frame = next(patch for patch in result.tso.plot.scores().patches if isinstance(patch, Rectangle))
    column = round(frame.get_x() + 0.5)
    assert result.tso.best().aperture.item() == result.aperture.to_numpy()[column] != "r3"
