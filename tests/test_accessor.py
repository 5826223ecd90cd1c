"""``ds.tso``: every method gives what its function gives; short words; tables with units and the kind of time."""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from astropy.table import QTable

import tsogrid
from tests.analysis.nights import night
from tsogrid.accessor import TsoAccessor
from tsogrid.analysis.averaging import allan
from tsogrid.analysis.binning import bin_light_curve
from tsogrid.analysis.choice import best
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.reference import relative
from tsogrid.errors import ConfigError
from tsogrid.view.plot import time_axis
from tsogrid.view.style import new_axes


@pytest.fixture
def result():
    return night(120, apertures=3, skies=2, seed=1)


@pytest.fixture(autouse=True)
def no_windows():
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_methods_are_their_functions(result):
    tso = result.tso
    assert isinstance(tso, TsoAccessor)
    assert tso.lightcurve("ref1", 4, 0, "mean").identical(light_curve(result, "ref1", 4, 0, "mean"))
    assert tso.relative(aperture=4, sky=0, exclude=["ref2"]).identical(relative(result, aperture=4, sky=0, exclude=["ref2"]))
    assert tso.best(by="mad").identical(best(result, by="mad"))
    assert tso.bin(10).identical(bin_light_curve(best(result), 10))
    assert tso.bin(width="30 min", aperture=4, sky=1, relative=False)["flux"].dims == ("time",)
    assert tso.allan().identical(allan(best(result)))
    assert tso.best().tso.bin(10).identical(tso.bin(10))
    assert set(tso.score().data_vars) >= {"point_to_point", "red", "ratio"}
    assert "total" in tso.noise(aperture=4, sky=0)
    assert len(tso.stats()) == 2
    assert tso.flag_table().empty
    assert (tso.relative().sel(radius=5)["aperture"] == "r5").all()


def test_words_are_short(result):
    text = repr(result.tso)
    assert "120 time, 5 source, 3 aperture, 2 sky" in text
    assert "target, ref1, ref2, ref3, ref4" in text
    assert "relative" in text
    lines = repr(result.tso.best().tso).splitlines()
    assert any(line.startswith("choice:") for line in lines)
    assert len(lines) < 8


def test_a_light_curve_as_a_table(result):
    table = result.tso.lightcurve(aperture=4, sky=0).tso.to_table()
    assert isinstance(table, QTable)
    assert table.colnames == ["time", "flux", "flux_err", "flags", "aperture_flags"]
    assert table["time"].unit == "d"
    assert table["flux"].unit == "adu"
    assert table.meta["time_scale"] == "tdb"
    assert (table.meta["source"], table.meta["aperture"]) == ("target", "r4")
    np.testing.assert_array_equal(table["flux"].value, result["flux"].isel(source=0, aperture=1, sky=0))
    binned = result.tso.bin(10).tso.to_table()
    assert len(binned) == 12
    assert "flux_err_measured" in binned.colnames


def test_a_whole_result_as_a_table(star_frames):
    measured = tsogrid.measure(star_frames, x=30, y=23, radius=[3, 4], input={"gain": 2.0})
    table = measured.tso.to_table()
    assert len(table) == 20
    assert any(name.startswith("flux_r4_") for name in table.colnames)
    assert len(measured.tso.to_dataframe()) == 20


def test_methods_that_need_a_result_say_so(result):
    for call in (lambda tso: tso.relative(), lambda tso: tso.best(), lambda tso: tso.noise(), lambda tso: tso.stats()):
        with pytest.raises(ConfigError, match="expected a result"):
            call(result.tso.best().tso)


@pytest.mark.parametrize("width", [80, 160])
def test_plots_have_labels_that_do_not_overlap(result, width):
    for kind, xlabel in (("light_curve", "BJD_TDB − 2460000 (d)"), ("noise", "length of a bin (min)"), ("scores", "pixel")):
        axes = getattr(result.tso.plot, kind)(new_axes(width, 0.62 * width))
        assert xlabel in axes.get_xlabel()
        figure = axes.figure
        figure.canvas.draw()
        words = [*axes.get_xticklabels(), axes.xaxis.label]
        boxes = [word.get_window_extent() for word in words if word.get_text() and word.get_visible()]
        inside = [box for box in boxes if figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 1]
        for number, box in enumerate(inside):
            assert not any(box.overlaps(other) for other in inside[number + 1 :]), kind
        rows = [word.get_window_extent() for word in axes.get_yticklabels() if word.get_text()]
        assert not any(one.overlaps(two) for number, one in enumerate(rows) for two in rows[number + 1 :]), kind
    assert result.tso.plot.light_curve(bins=0, aperture=3, sky=0, relative=False).get_legend() is not None


def test_the_times_of_plots():
    time = xr.DataArray([2460000.3, 2460000.4], dims="time", attrs={"units": "d", "scale": "utc"})
    shifted, label = time_axis(time)
    np.testing.assert_allclose(shifted, [0.3, 0.4], atol=1e-9)
    assert label == "JD_UTC − 2460000 (d)"
    assert time_axis(time, 2459000.5)[1] == "JD_UTC − 2459000.5 (d)"
    assert time_axis(time, 0)[1] == "JD_UTC (d)"
    assert time_axis(time.assign_attrs(units="1"))[1] == "frame"


def test_the_configuration_tells_the_time_reference(exposure):
    settings = {"sky": [{"method": "annulus", "inner": 8, "outer": 12}]}
    result = tsogrid.measure(exposure.files, radius=3, plot={"time_reference": 2459000.5}, **settings)
    assert result.attrs["time_reference"] == 2459000.5
    assert "time_reference" not in tsogrid.measure(exposure.files, radius=3, **settings).attrs
    axes = result.tso.plot.light_curve()
    assert axes.get_xlabel() == "BJD_TDB − 2459000.5 (d)"
    assert result.tso.plot.light_curve(time_reference=2460000.0).get_xlabel() == "BJD_TDB − 2460000 (d)"
