"""The depth of a known shape: unbiased, with an honest error, and the plot of it."""

import numpy as np
import pytest
import xarray as xr

from tsogrid.analysis.transit import fit_transit
from tsogrid.simulate import transit_shape
from tsogrid.view.plot import light_curve

TIME = np.linspace(0, 0.2, 60)
SHAPE = transit_shape(TIME, 0.1, 0.08)


def test_noise_free_depth_is_exact():
    found = fit_transit(TIME, 7e4 * (1 - 0.01 * SHAPE), SHAPE)
    assert found.depth == pytest.approx(0.01, rel=1e-9)
    assert found.scatter == pytest.approx(0, abs=1e-9)


def test_the_error_is_honest():
    rng = np.random.default_rng(4)
    noisy = [fit_transit(TIME, 5 + TIME - 0.05 * SHAPE + rng.normal(0, 0.01, 60), SHAPE) for _ in range(2000)]
    pull = [(fit.depth - 0.05 / (5 + 0.1)) / fit.depth_err for fit in noisy]
    assert abs(np.mean(pull)) < 0.1
    assert 0.95 < np.std(pull) < 1.1  # Student's t of 57 degrees of freedom


def test_gaps_are_left_out_and_too_few_points_refused():
    flux = 3 * (1 - 0.02 * SHAPE)
    flux[5:9] = np.nan
    assert fit_transit(TIME, flux, SHAPE).depth == pytest.approx(0.02)
    with pytest.raises(ValueError, match="found 3"):
        fit_transit(TIME[:3], flux[:3], SHAPE[:3])
    with pytest.raises(ValueError, match="in the transit, found none"):
        fit_transit(TIME, flux, 0 * SHAPE)


def test_the_light_curve_is_labelled():
    from matplotlib.figure import Figure

    time = xr.Variable("time", 2460383.6 + TIME, {"units": "d", "scale": "tdb"})
    flux = xr.DataArray(1 - 0.01 * SHAPE, {"time": time}, attrs={"long_name": "relative flux", "units": "1"})
    axes = light_curve(flux, Figure().subplots(), bins=10, model=flux.to_numpy())
    assert axes.get_xlabel() == "BJD_TDB − 2460383 (d)"
    assert axes.get_ylabel() == "relative flux"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["frames", "model", "binned"]
