"""Steps that look at other lines read those and no more: every number is, to the bit, that of the whole frame."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import tsogrid
from tsogrid.config import RowAmplifier
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.line_reach import lines_read
from tsogrid.engine.plan_size import readings
from tsogrid.engine.windows import Window, plan_windows

SHAPE, N = (70, 90), 3
BOUNDS = [[0, 27], [27, 61], [64, 90]]
CENTER = {"method": "center-of-mass", "search_box": 9, "fit_box": 9}
ROWS = {"method": "rowamp", "mask_radius": 8, "amplifiers": BOUNDS}
RING = {"method": "annulus", "inner": 6, "outer": 9, "statistic": "clipped-median"}


def frames(sources, seed=0, turned=False):
    """Stars that wander over rows and columns with noise of their own; bad pixels, a bad row, a bad column."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    data = rng.normal(50, 3, (N, *SHAPE)) + rng.normal(0, 4, (N, SHAPE[0], 1)) + rng.normal(0, 2, SHAPE[1])
    for frame, (dx, dy) in enumerate(rng.normal(0, 1.5, (N, 2))):
        for a, b in sources:
            data[frame] += 900 * np.exp(-((x - a - dx) ** 2 + (y - b - dy) ** 2) / 4)
    data[rng.random(data.shape) < 3e-3] = np.nan
    data[0, rng.integers(SHAPE[0])] = data[1, :, rng.integers(SHAPE[1])] = np.nan
    error = np.sqrt(np.abs(np.nan_to_num(data)) + 9)
    if turned:
        data, error = (np.ascontiguousarray(each.swapaxes(1, 2)) for each in (data, error))
    variables = {
        "data": (("time", "y", "x"), data.astype(np.float32)),
        "error": (("time", "y", "x"), error.astype(np.float32)),
    }
    return xr.Dataset(variables, attrs={"units": "electron", "fast_axis": 2 if turned else 1})


def planned(sources, skies, turned=False, seed=0, center=CENTER, **settings):
    x, y = np.transpose(sources)
    x, y = (y, x) if turned else (x, y)
    made = with_settings(None, x=x, y=y, radius=[2, 3.5], sky=skies, center=center, **settings)
    return plan(tsogrid.open_frames(frames(sources, seed, turned)), made)


def assert_as_whole(made):
    """Compare with a plan that reads whole frames, also of one frame alone."""
    everyone = tuple(range(len(made.sources.names)))
    found = made.measure(0, N)
    whole = replace(made, near=False, windows=(Window(0, made.shape[0], 0, made.shape[1], everyone),)).measure(0, N)
    at_once, alone = replace(made, near=False).measure(0, N), made.measure(1, 2)
    for name, values in whole.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        np.testing.assert_array_equal(at_once[name], values, err_msg=name)
        np.testing.assert_array_equal(alone[name], values[1:2], err_msg=name)
    return found


@st.composite
def steps(draw):
    window = draw(st.sampled_from([None, None, 3, 5, 11, 41, 201]))
    smooth = {} if window is None else {"smooth": window, "smooth_order": draw(st.integers(0, min(window - 1, 4)))}
    columns = draw(st.sampled_from([{}, {"even_odd": True}, {"each_column": True}]))
    return ROWS | {"mask_radius": draw(st.sampled_from([5.0, 8.5, 30.0]))} | smooth | columns


chains = st.lists(steps(), min_size=1, max_size=2).flatmap(lambda rows: st.sampled_from([rows, [*rows, RING]]))
places = st.tuples(st.floats(-2, SHAPE[1] + 1), st.floats(-2, SHAPE[0] + 1))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    sources=st.lists(places, min_size=1, max_size=3),
    skies=st.lists(chains, min_size=1, max_size=3, unique_by=str),
    turned=st.booleans(),
    seed=st.integers(0, 5),
    lost=st.sampled_from(["", "", "a source", "in a frame"]),
    corrected=st.one_of(st.none(), steps()),
    nan=st.sampled_from(["mask", "mask", "leave"]),
)
def test_any_steps_give_the_bits_of_whole_frames(sources, skies, turned, seed, lost, corrected, nan):
    center = CENTER if corrected is None else {**CENTER, "sky": [corrected]}
    made = planned(sources, skies, turned, seed, center, calibrate={"nan": nan})
    assert made.near
    if lost:
        known = np.repeat(made.sources.planned, N, axis=0)
        known[slice(None) if lost == "a source" else 1, 0] = np.nan
        made = replace(made, sources=replace(made.sources, planned=known))
    found = assert_as_whole(made)
    assert (found["sky_area"][~np.isfinite(made.planned(0, N)).all(axis=2)] == 0).all()
    assert np.isnan(found["amplifier_correlation"]).all()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, (18, 53)),
        ({"smooth": 7}, (15, 56)),
        ({"smooth": 51}, (0, 70)),
        ({"even_odd": True}, (0, 70)),
        ({"each_column": True, "smooth": 3}, (0, 70)),
    ],
)
def test_lines_that_a_step_needs_are_read_of_the_amplifiers_of_the_sources(options, lines, turned):
    made = planned([(45, 35)], [[ROWS | options, RING]], turned)
    ((window,),) = readings(made)
    rows, columns = (window.y0, window.y1), (window.x0, window.x1)
    across, along = (columns, rows) if turned else (rows, columns)
    assert (across, along) == (lines, (27, 63))
    ((afar,),) = readings(replace(made, short_lines=False))
    assert afar.pixels * 36 == window.pixels * 90  # one range a line
    assert_as_whole(made)


@pytest.mark.parametrize("options", [{"smooth": 21}, {"smooth": 5}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_source_found_far_off_is_measured_on_the_lines_that_its_steps_need(options, turned):
    made = planned([(45, 30)], [[ROWS | options, RING], [ROWS]], turned, center=CENTER | {"search_box": 15})
    ((window,),) = readings(made)
    rolled = made.frames.copy(deep=True)
    for name in rolled:
        rolled[name][1] = np.roll(made.frames[name][1], 8, axis=1 if turned else 0)
    found = assert_as_whole(replace(made, frames=rolled))
    assert (
        found["x" if turned else "y"][1, 0] + made.recipe.photometry_reach
        > (window.serves or window.region)[3 if turned else 1]
    )


def test_windows_of_a_series_hold_what_the_filter_along_time_needs_beside_the_lines():
    made = planned([(45, 12)], [[ROWS | {"smooth": 9}]], calibrate={"outliers": {"window": 3}})
    (window,) = made.windows
    (plain,) = plan_windows(replace(made.recipe, sky=((RowAmplifier(**ROWS),),)), made.sources.planned, SHAPE)
    assert not made.near
    assert (window.x0, window.x1) == (0, 90)
    assert plain.y1 + 4 < window.y1 < SHAPE[0]
    assert_as_whole(made)


def test_a_chain_wants_of_each_step_what_the_next_one_looks_at():
    def step(**options):
        return RowAmplifier(**ROWS, **options)

    assert lines_read([[step()], [step(smooth=7)]], (20, 30), 70) == (17, 33)
    assert lines_read([[step(smooth=5), step(smooth=7)]], (20, 30), 70) == (15, 35)
    assert lines_read([[step(smooth=7)]], (1, 3), 70) == (0, 7)  # the window ends where the frame does
    assert lines_read([[step(smooth=7), step()]], (66, 70), 70) == (63, 70)
    assert lines_read([[step(), step(even_odd=True)]], (20, 30), 70) == (0, 70)
    assert lines_read([[step(fill=True)], [step()]], (20, 30), 70) == (0, 70)
    assert lines_read([], (20, 30), 70) == (20, 30)


def test_a_source_between_amplifiers_has_no_line_also_where_another_is_read():
    """Amplifiers that no source touches are left out: the ends of the others are not those of the detector."""
    gap = ROWS | {"amplifiers": [[0, 20], [60, 90]]}
    found = assert_as_whole(planned([(40, 35), (75, 30)], [[gap], [gap | {"even_odd": True}]]))
    assert (found["sky_area"][:, 0] == 0).all()
    assert (found["sky_area"][:, 1] > 0).any()


def test_a_first_step_that_measures_no_correlation_hides_none():
    skies = [[ROWS | {"smooth": 5}, ROWS | {"fill": True}], [ROWS | {"fill": True}, ROWS | {"smooth": 5}], [ROWS]]
    found = planned([(45, 35)], skies).measure(0, N)["amplifier_correlation"]
    np.testing.assert_array_equal(np.isfinite(found), [[True, True, False]] * N)


def test_two_models_of_lines_are_summed_also_where_bad_pixels_stay():
    """The first model is made everywhere, and cut to what lies about the source."""
    skies = [[ROWS | {"even_odd": True}, ROWS | {"smooth": 5}], [ROWS | {"smooth": 3}, ROWS, RING]]
    found = assert_as_whole(planned([(45, 35)], skies, calibrate={"nan": "leave"}))
    assert np.isfinite(found["sky_sum"]).any(axis=(0, 1, 2)).all()
