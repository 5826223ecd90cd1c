"""Centres first, then only the lines about them: no number depends on it."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import tsogrid
from tsogrid.engine import block_size
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.plan import Plan
from tsogrid.engine.plan_size import bytes_held, bytes_read, readings
from tsogrid.engine.windows import Window, center_windows, lines_about

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
    assert planned.centers
    assert sum(each.pixels for each in planned.centers) < planned.windows[0].pixels / 5
    at_once = replace(planned, centers=())
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
    stamps, lines = readings(planned)
    item = 8  # bytes of a pixel and its error
    assert bytes_read(planned) == item * sum(each.pixels for each in (*stamps, *lines))
    assert bytes_held(planned) == item * max(sum(each.pixels for each in stamps), lines[0].pixels)
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
    assert len(sizes) > 4
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


def test_places_that_nobody_knows_need_no_line(frames):
    x, y, _ = np.transpose(STARS)
    settings = with_settings(None, x=x, y=y, radius=[3], sky=[[ROWS]], center=CENTERS["frame"])
    planned = plan(tsogrid.open_frames(frames), settings)
    window = planned.windows[0]
    one = lines_about(np.array([600.0, np.nan]), np.array([75.0, np.nan]), planned.recipe, window)
    assert one == lines_about(np.array([600.0]), np.array([75.0]), planned.recipe, window)
    assert lines_about(np.array([np.nan]), np.array([np.nan]), planned.recipe, window) == window
    places = planned.sources.planned.copy()
    places[:, 0] = np.nan
    assert center_windows(planned.recipe, places, SHAPE)
    assert center_windows(planned.recipe, np.full(places.shape, np.nan), SHAPE) == ()


def test_lines_are_read_at_once_where_little_would_be_left_out(frames):
    narrow = frames.isel(x=slice(500, 756))
    settings = with_settings(
        None, x=110, y=70, radius=[3], sky=[[{**ROWS, "amplifiers": [[0, 256]]}]], center=CENTERS["frame"]
    )
    assert plan(tsogrid.open_frames(narrow), settings).centers == ()
    smooth = {**ROWS, "smooth": 5}
    settings = with_settings(None, x=610, y=70, radius=[3], sky=[[smooth]], center=CENTERS["frame"])
    assert plan(tsogrid.open_frames(frames), settings).centers == ()
