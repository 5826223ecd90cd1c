"""The lazy result: the same bits for any block size and any scheduler, each block measured once."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import tsogrid
from tsogrid.engine import graph
from tsogrid.engine.plan import Plan
from tsogrid.errors import ConfigError, InputError, TsogridWarning

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")

SETTINGS = {"x": 30, "y": 23, "radius": [3, 5], "center": {"search_box": 11, "fit_box": 11}}
MEDIAN = SETTINGS | {"center": {"search_box": 11, "fit_box": 11, "position": "median"}}


def same_bits(first, second):
    """Whether two results hold the same bits, NaN included."""
    assert list(first.data_vars) == list(second.data_vars)
    for name in first.data_vars:
        a, b = first[name].to_numpy(), second[name].to_numpy()
        assert a.dtype == b.dtype, name
        assert a.tobytes() == b.tobytes(), name


@pytest.fixture
def bad_frames(star_frames):
    """The star frames with a wholly bad frame, a bad pixel in the star and noise in place of the star."""
    star_frames[4] = np.nan
    star_frames[7, 22, 31] = np.nan
    star_frames[9] = star_frames[9, :, ::-1]
    return star_frames


@pytest.mark.parametrize("settings", [SETTINGS, MEDIAN], ids=["frame", "median"])
@pytest.mark.parametrize("block", [1, 7, 64, 256])
def test_block_size_changes_no_bit(bad_frames, settings, block):
    plain = tsogrid.measure(bad_frames, **settings, block=20).compute(scheduler="sync")
    same_bits(tsogrid.measure(bad_frames, **settings, block=block).compute(scheduler="threads"), plain)


def test_numpy_alone_gives_the_same_bits(bad_frames):
    lazy = tsogrid.measure(bad_frames, **SETTINGS, block=3).compute()
    config = graph.with_settings(None, **SETTINGS)
    plan = graph.plan(tsogrid.open_frames(bad_frames), config, 3)
    parts = [plan.measure(start, stop) for start, stop in plan.bounds]
    for name in lazy.data_vars:
        assert np.concatenate([part[name] for part in parts]).tobytes() == lazy[name].to_numpy().tobytes()


def test_processes_give_the_same_bits(bad_frames):
    lazy = tsogrid.measure(bad_frames, **MEDIAN, block=5)
    same_bits(lazy.compute(scheduler="processes", num_workers=2), lazy.compute(scheduler="sync"))


@pytest.mark.parametrize("settings", [SETTINGS, MEDIAN], ids=["frame", "median"])
def test_dask_frames_give_the_same_bits(bad_frames, settings):
    lazy = da.from_array(bad_frames, chunks=(6, 48, 28))
    same_bits(tsogrid.measure(lazy, **settings, block=7).compute(), tsogrid.measure(bad_frames, **settings).compute())


def test_files_give_the_same_bits_as_arrays_in_memory(exposure):
    frames = tsogrid.open_frames(exposure.files)
    settings = {"radius": [3, 4], "center": {"search_box": 15, "fit_box": 9}}
    from_files = tsogrid.measure(frames, **settings, block=4).compute()
    same_bits(from_files, tsogrid.measure(frames.load(), **settings, block=30).compute())


def test_each_block_is_measured_once_and_returns_only_results(star_frames, monkeypatch):
    calls = []
    measure = Plan.measure

    def counted(self, start, stop, *rest):
        result = measure(self, start, stop, *rest)
        calls.append((start, stop, sum(values.nbytes for values in result.values())))
        return result

    monkeypatch.setattr(Plan, "measure", counted)
    lazy = tsogrid.measure(star_frames, **SETTINGS, block=6)
    assert calls == []  # nothing is read before the result is computed
    dask.compute(lazy, scheduler="sync")
    assert sorted((start, stop) for start, stop, _ in calls) == [(0, 6), (6, 12), (12, 18), (18, 20)]
    assert all(size < 1500 * (stop - start) for start, stop, size in calls)


def test_the_plan_has_block_function_bounds_and_template(exposure):
    frames = tsogrid.open_frames(exposure.files)
    plan = graph.plan(frames, tsogrid.Config(), block=8)
    assert plan.bounds.tolist() == [[0, 8], [8, 16], [16, 24], [24, 30]]
    template = plan.template()
    assert dict(template.sizes) == {"time": 30, "source": 1, "aperture": 3, "sky": 1}
    np.testing.assert_array_equal(template["time"], frames["time"])
    assert len(pickle.dumps(plan.travelling())) < 50_000
    found = plan.measure(8, 16)
    assert set(found) == {variable.name for variable in plan.variables()}
    assert all(len(values) == 8 for values in found.values())


def test_a_plan_over_a_million_frames_is_built_at_once():
    lazy = da.zeros((1_000_000, 16, 16), chunks=(256, 16, 16), dtype="f4")
    plan = graph.plan(tsogrid.open_frames(lazy), graph.with_settings(None, x=8, y=8, radius=3), block=256)
    assert len(plan.bounds) == 3907


def test_one_call_from_the_predecessor(star_frames):
    table = tsogrid.measure(star_frames, x=30, y=23, fit_box=15, radius=[3, 4.5]).tso.to_dataframe()
    promised = [
        "time",
        "file",
        "integration",
        "sky_background",
        "x_cc",
        "y_cc",
        "x_gauss",
        "y_gauss",
        "sigma_x",
        "sigma_y",
        "amplitude",
    ]
    assert list(table.columns) == [*promised, 3.0, 4.5]
    assert len(table) == 20
    np.testing.assert_allclose(table["x_gauss"], 30.3, atol=0.05)
    np.testing.assert_allclose(table["sky_background"], 20, atol=1)
    np.testing.assert_allclose(table[4.5], 2 * np.pi * 1.6**2 * 900 * (1 - np.exp(-(4.5**2) / 2 / 1.6**2)), rtol=0.02)


def test_several_sources_are_rows_of_the_table(star_frames):
    table = tsogrid.measure(star_frames, x=[30, 10], y=[23, 12], radius=3).tso.to_dataframe()
    assert len(table) == 40
    assert table["source"].tolist()[:3] == ["source0", "source1", "source0"]


@pytest.mark.parametrize(
    "frames",
    [
        lambda a: a[0],
        lambda a: [a[0], a[1]],
        lambda a: da.from_array(a[:2]),
        lambda a: xr.Dataset({"data": (("time", "y", "x"), a[:2])}),
    ],
    ids=["2-D", "list", "dask", "Dataset"],
)
def test_arrays_of_every_kind(star_frames, frames):
    found = tsogrid.measure(frames(star_frames), x=30, y=23, radius=3).flux.compute()
    expected = tsogrid.measure(star_frames, x=30, y=23, radius=3).flux.compute()
    np.testing.assert_array_equal(found, expected[: len(found)])


def test_without_a_position_the_middle_of_the_frame(star_frames):
    result = tsogrid.measure(star_frames, radius=3, center={"method": "none", "position": "fixed"}).compute()
    assert result.x[0, 0] == 27.5
    assert result.y[0, 0] == 23.5


def test_the_radius_selects(star_frames):
    result = tsogrid.measure(star_frames, x=30, y=23, radius="3:5:0.5")
    assert result.flux.sel(radius=4.5).aperture.item() == "r4.5"
    assert result.aperture.values.tolist() == ["r3", "r3.5", "r4", "r4.5", "r5"]


def test_errors_without_gain_are_nan_with_a_warning(star_frames):
    with pytest.warns(TsogridWarning, match="no gain is given"):
        result = tsogrid.measure(star_frames, x=30, y=23, radius=3)
    assert np.isnan(result.flux_err).all()
    assert np.isfinite(result.flux).all()


def test_wrong_calls_say_what_was_expected(star_frames):
    with pytest.raises(ConfigError, match="expected x and y"):
        tsogrid.measure(star_frames, x=3)
    with pytest.raises(InputError, match="outside every frame"):
        tsogrid.measure(star_frames, x=300, y=3)
    with pytest.raises(ConfigError, match="did you mean"):
        tsogrid.measure(star_frames, skies=[])
    with pytest.raises(ConfigError, match="error needs errors"):
        tsogrid.measure(star_frames, x=30, y=23, center={"weights": "error"})
