"""Only lines about the sources are read, and others where one is found far off: no number depends on it."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import tsogrid
from tsogrid.engine import block_size
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.near_windows import frames_beyond, windows_about
from tsogrid.engine.plan import Plan
from tsogrid.engine.plan_size import bytes_held, bytes_read, readings
from tsogrid.engine.windows import Window

SHAPE, N = (150, 1600), 6
BOUNDS = [[0, 400], [400, 800], [800, 1200], [1200, 1600]]
STARS = ((610.2, 70.4, 5e4), (1010.7, 80.1, 3e4))


@pytest.fixture(scope="module")
def frames():
    """Two stars that wander by several pixels, rows with noise of their own; the first star is gone in frame 3."""
    rng = np.random.default_rng(5)
    y, x = np.indices(SHAPE)
    data = rng.normal(10, 3, (N, *SHAPE)) + np.repeat(rng.normal(0, 5, (N, SHAPE[0], 4)), 400, axis=2)
    shifts = np.cumsum(rng.normal(0, 2, (N, 2)), axis=0)
    for frame, (dx, dy) in enumerate(shifts):
        for star, (sx, sy, flux) in enumerate(STARS):
            if (frame, star) != (3, 0):
                data[frame] += flux / (2 * np.pi * 2.25) * np.exp(-((x - sx - dx) ** 2 + (y - sy - dy) ** 2) / 4.5)
    data[1, 75, 605:609] = np.nan
    data[3, 50:95, 590:630] = np.nan
    variables = {"data": (("time", "y", "x"), data.astype(np.float32))}
    variables["error"] = variables["data"][0], np.sqrt(np.abs(data) + 9).astype(np.float32)
    return xr.Dataset(variables, attrs={"units": "electron"})


CENTERS = {
    "frame": {"search_box": 41, "method": "gaussian", "fit_box": 11},
    "planned where lost": {"search_box": 41, "method": "gaussian", "fit_box": 11, "fallback": "planned"},
    "common": {"search_box": 41, "method": "gaussian", "fit_box": 11, "position": "common"},
    "median": {"search_box": 41, "method": "gaussian", "fit_box": 11, "position": "median"},
    "centre of mass": {"search_box": 41, "method": "center-of-mass", "fit_box": 11},
}
ROWS = {"method": "rowamp", "mask_radius": 15, "amplifiers": BOUNDS}
SKIES = [
    [ROWS, {"method": "annulus", "inner": 16, "outer": 22, "statistic": "clipped-median"}],
    [{"method": "annulus", "inner": 16, "outer": 22}],
    [ROWS],
]


@pytest.mark.parametrize("name", CENTERS)
def test_lines_about_the_centres_give_the_bits_of_all_lines(frames, name):
    x, y, _ = np.transpose(STARS)
    scaled = {"shape": "circle", "scaled": {"factor": [2.0], "range": [1, 6]}}
    settings = with_settings(
        None, x=x, y=y, apertures=[{"shape": "circle", "radius": [3, 8]}, scaled], sky=SKIES, center=CENTERS[name]
    )
    planned = plan(tsogrid.open_frames(frames), settings)
    assert planned.near
    at_once = replace(planned, near=False)
    everything = replace(at_once, windows=(Window(0, SHAPE[0], 0, SHAPE[1], (0, 1)),))
    given = planned.trial(N, "photometry") if len(planned.passes) > 1 else None
    for index in range(len(planned.passes)):
        its = given if index else None
        found = planned.measure(0, N, index, its)
        for other in (at_once, everything):
            expected = other.measure(0, N, index, its)
            assert found.keys() == expected.keys()
            for variable, values in expected.items():
                np.testing.assert_array_equal(found[variable], values, err_msg=variable)
        alone = planned.measure(2, 4, index, its and {key: values[2:4] for key, values in its.items()})
        for variable, values in alone.items():
            np.testing.assert_array_equal(found[variable][2:4], values, err_msg=variable)
    assert np.isfinite(found["flux"][0] if "flux" in found else 0).all()


def test_pieces_are_as_long_as_what_is_read_at_once_allows(frames, monkeypatch):
    x, y, _ = np.transpose(STARS)
    settings = with_settings(None, x=x, y=y, radius=[3, 8], sky=SKIES, center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(frames), settings)
    ((lines,),) = readings(planned)
    item = 8  # bytes of a pixel and its error
    assert bytes_read(planned) == bytes_held(planned) == item * lines.pixels < item * 0.7 * planned.windows[0].pixels
    expected = planned.measure(0, N)
    sizes = []

    def read(self, window, start, stop):
        sizes.append((stop - start) * item * window.pixels)
        return Plan.pixels(
            self, window, {name: self.cut(name, start, stop, window.region) for name in self.frames}, start, stop
        )

    monkeypatch.setattr(Plan, "read", read)
    room = 2.2 * bytes_held(planned)
    monkeypatch.setattr(block_size, "BLOCK_BYTES", room)
    found = planned.measure(0, N)
    assert len(sizes) == 3
    assert max(sizes) <= room
    assert found.keys() == expected.keys()
    for variable, values in expected.items():
        np.testing.assert_array_equal(found[variable], values, err_msg=variable)
    # Sources that move far need many lines: fewer frames at a time.
    wide = planned.sources.planned + np.array([0.0, 40.0]) * np.linspace(-1, 1, N)[:, None, None]
    moving = replace(planned, sources=replace(planned.sources, planned=wide))
    sizes.clear()
    moving.measure(0, N)
    assert max(sizes) <= room
    # And so do those that are found far from where they are planned, when they are measured again.
    away = replace(planned, sources=replace(planned.sources, planned=planned.sources.planned + 12.0))
    sizes.clear()
    away.measure(0, N)
    assert len(sizes) > 4
    assert max(sizes) <= room


def test_places_that_nobody_knows_need_no_line(frames):
    x, y, _ = np.transpose(STARS)
    settings = with_settings(None, x=x, y=y, radius=[3], sky=[[ROWS]], center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(frames), settings)
    rest = 20.0, planned.recipe, SHAPE, planned.recipe.sky
    (one,) = windows_about(np.array([[[600.0, 75.0], [np.nan, 8.0]]]), *rest)
    (same,) = windows_about(np.array([[[600.0, 75.0]]]), *rest)
    assert one.region == same.region == (55, 96, 400, 800)
    (whole,) = windows_about(np.full((3, 2, 2), np.nan), *rest)
    assert whole == Window(0, SHAPE[0], 0, SHAPE[1], (0, 1))
    places = planned.sources.planned.copy()
    places[:, 0] = np.nan
    ((lines,),) = readings(replace(planned, sources=replace(planned.sources, planned=places)))
    assert (lines.x0, lines.x1) == (800, 1200)  # the amplifier of the other star


def test_frames_whose_sources_need_other_pixels_are_told():
    window = Window(10, 40, 0, 60, (0, 1))
    places = np.array([[[30.0, 25.0], [5.0, 20.0]], [[30.0, 25.0], [30.0, 19.9]], [[50.1, 25.0], [np.nan, 3.0]]])
    beyond = frames_beyond(places, 10.0, (window,), (100, 100))
    np.testing.assert_array_equal(beyond, [False, True, True])  # beyond the frame's own edge nothing is needed
    apart = Window(10, 40, 0, 60, (1,)), Window(0, 99, 0, 99, (0,))
    np.testing.assert_array_equal(frames_beyond(places, 10.0, apart, (100, 100)), [False, True, False])


@pytest.mark.parametrize("turned", [False, True])
def test_amplifiers_that_no_source_needs_are_not_read(frames, turned):
    rest, axes = {"radius": [3], "center": CENTERS["frame"]}, ("y", "x")
    if turned:
        frames, axes = frames.transpose("time", "x", "y").rename(x="y", y="x").assign_attrs(fast_axis=2), ("x", "y")

    def planned_at(across, along, bounds):
        place = dict(zip(axes, (across, along), strict=True))
        settings = with_settings(None, **place, **rest, sky=[[ROWS | {"amplifiers": bounds}]])
        return plan(tsogrid.open_frames(frames), settings)

    planned = planned_at(70.4, 610.2, BOUNDS)
    ((lines,),) = readings(planned)
    ends = (lines.y0, lines.y1) if turned else (lines.x0, lines.x1)
    assert ends == (400, 800)
    ((whole,),) = readings(replace(planned, short_lines=False))
    assert whole.pixels == 4 * lines.pixels
    # A source between the amplifiers of two has no row noise of its own.
    assert (planned_at(70.4, 610.2, [[0, 400], [800, 1200]]).measure(0, 1)["sky_area"] == 0).all()


def test_a_source_far_off_is_measured_again_on_its_lines(frames, monkeypatch):
    """A glitch in two frames of six: these alone are read twice, and have the numbers that all lines give."""
    moved = frames.isel(time=[0] * 6).copy(deep=True)
    for frame in (1, 4):
        moved["data"][frame] = np.roll(moved["data"][frame].values, (17, -16), axis=(0, 1))
    x, y, _ = STARS[0]
    sky = [[ROWS, {"method": "annulus", "inner": 20, "outer": 32}]]
    settings = with_settings(None, x=x, y=y, radius=[3, 8], sky=sky, center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(moved), settings)
    expected = replace(planned, near=False).measure(0, 6)
    assert abs(np.diff(expected["y"][:2, 0])) > 15
    read, plain = [], Plan.read

    def counted(self, window, start, stop):
        read.append((window, start, stop))
        return plain(self, window, start, stop)

    monkeypatch.setattr(Plan, "read", counted)
    for stretches in ([(1, 5)], [(1, 2), (4, 5)]):
        read.clear()
        for variable, values in planned.measure(0, 6).items():
            np.testing.assert_array_equal(values, expected[variable], err_msg=variable)
        (first, *_), (again, *_) = read[:2]
        assert [each[1:] for each in read] == [(0, 6), *stretches]
        assert first.y1 < expected["y"][1, 0] + planned.recipe.photometry_reach < again.y1 < planned.windows[0].y1
        monkeypatch.setattr("tsogrid.engine.block_measure.FEW_FRAMES", 1)
    # Where most are far off, all are: centres first, then the photometry.
    away = replace(planned, sources=replace(planned.sources, planned=planned.sources.planned + np.array([0.0, 14.0])))
    expected = replace(away, near=False).measure(0, 6)
    read.clear()
    for variable, values in away.measure(0, 6).items():
        np.testing.assert_array_equal(values, expected[variable], err_msg=variable)
    assert [each[1:] for each in read] == [(0, 6), (0, 6)]


def test_stamps_are_small_where_sources_are_as_planned(frames):
    """Also those of several windows, whose sources are put in their order again."""
    x, y, _ = np.transpose(STARS[::-1])
    sky = [{"method": "annulus", "inner": 16, "outer": 22}]
    settings = with_settings(None, x=x, y=y, radius=[3, 8], sky=sky, center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(frames), settings)
    ((one, other),) = readings(planned)
    assert one.pixels + other.pixels < 0.6 * sum(each.pixels for each in planned.windows)
    expected = replace(planned, near=False).measure(0, N)
    for variable, values in planned.measure(0, N).items():
        np.testing.assert_array_equal(values, expected[variable], err_msg=variable)


@pytest.mark.parametrize("option", [{"fill": True}, {"reference_pixels": 4}])
def test_everything_is_read_where_a_step_looks_at_amplifiers_together(frames, option):
    settings = with_settings(None, x=610, y=70, radius=[3], sky=[[{**ROWS, **option}]], center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(frames), settings)
    assert not planned.near
    assert readings(planned) == (planned.windows,)


def test_centres_need_lines_where_their_sky_does(frames):
    # A pass that only finds centres needs no lines, unless centres do.
    twice = CENTERS["median"]
    settings = with_settings(None, x=610, y=70, radius=[3], sky=[[ROWS]], center=twice)
    planned = plan(tsogrid.open_frames(frames), settings)
    stamps, lines = readings(planned)
    assert stamps[0].pixels < lines[0].pixels / 5
    settings = with_settings(None, x=610, y=70, radius=[3], sky=[[ROWS]], center=twice | {"sky": [ROWS]})
    planned = plan(tsogrid.open_frames(frames), settings)
    lines, _ = readings(planned)
    assert (lines[0].x0, lines[0].x1) == (400, 800)
    at_once = replace(planned, near=False).measure(0, N)
    for variable, values in planned.measure(0, N).items():
        np.testing.assert_array_equal(values, at_once[variable], err_msg=variable)
