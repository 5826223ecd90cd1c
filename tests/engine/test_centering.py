"""Every way of centring: what it stores, on every edge of a frame that is not square, and what failing looks like."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

import tsogrid
from tsogrid import schema
from tsogrid.config import Config
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.windows import Window
from tsogrid.flags import SourceFlag

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")

METHODS = {"gaussian": "fit", "gaussian-1d": "fit", "center-of-mass": "com", "quadratic": "quadratic"}
SHAPE = (220, 200)  # rows, columns
# Near every edge and corner; the last star's row is beyond the number of columns.
PLACES = [(3.3, 110.4), (196.4, 110.7), (100.6, 3.4), (100.2, 216.3), (4.4, 4.2), (195.7, 215.6), (90.3, 207.4)]


def painted(x, y, flux, sigma, shape=SHAPE):
    """A pixel-integrated Gaussian star."""
    edges_y, edges_x = (np.arange(n + 1) - 0.5 for n in shape)
    column = np.diff(erf((edges_x - x) / (sigma * np.sqrt(2)))) / 2
    row = np.diff(erf((edges_y - y) / (sigma * np.sqrt(2)))) / 2
    return flux * row[:, None] * column[None]


@pytest.fixture(scope="module")
def field():
    """Seven stars, two frames with noise, and their errors."""
    rng = np.random.default_rng(2)
    model = 100 + sum(painted(x, y, 5e4, 1.5) for x, y in PLACES)
    data = model + rng.normal(0, 5, (2, *SHAPE))
    return data.astype(np.float32)


def measured(data, center, **settings):
    settings = {"x": [x for x, _ in PLACES], "y": [y for _, y in PLACES], "radius": 3, "input": {"gain": 1.0}} | settings
    return tsogrid.measure(data, center={"search_box": 7, "fit_box": 9} | center, **settings).compute()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("predict", ["cross-correlation", "none"])
def test_stars_on_every_edge_are_found_where_they_are(field, method, predict):
    result = measured(field, {"method": method, "predict": predict})
    truth = np.array(PLACES)
    # The centre of mass of a star that the edge cuts lies inside; three pixels from the edge little is cut.
    within = 0.1 if method != "center-of-mass" else 0.3
    np.testing.assert_allclose(result.x, np.broadcast_to(truth[:, 0], result.x.shape), atol=within)
    np.testing.assert_allclose(result.y, np.broadcast_to(truth[:, 1], result.y.shape), atol=within)
    np.testing.assert_array_equal(result.x, result[f"x_{METHODS[method]}"])
    np.testing.assert_array_equal(result.y, result[f"y_{METHODS[method]}"])
    assert (result.flags == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_stores_what_is_declared_for_it(field, method):
    result = measured(field, {"method": method})
    declared = {each.name for each in schema.variables(Config.from_mapping({"center": {"method": method}}, where="here"))}
    assert set(result.data_vars) == declared
    for name in ("x_com", "sigma_x", "sigma_y", "sigma_x_err", "amplitude", "amplitude_err"):
        assert np.isfinite(result[name]).all(), name
    np.testing.assert_allclose(result.sigma_x, 1.5, atol=0.15)
    np.testing.assert_allclose(result.amplitude, 5e4 / (2 * np.pi * 1.5**2), rtol=0.15)
    assert ("theta" in result) == (method == "gaussian")
    assert ("offset" in result) == (METHODS[method] == "fit")
    if METHODS[method] == "fit":
        np.testing.assert_allclose(result.offset, 100, atol=15)


@pytest.mark.parametrize("method", METHODS)
def test_a_star_that_is_not_there_is_nan_and_a_flag(method):
    data = np.full((3, 40, 50), 10.0) + painted(25.2, 20.3, 1e4, 1.5, (40, 50))
    data[1] = np.nan
    data[2] = 10.0 + 0.5 * np.arange(50)  # a slope
    center = {"method": method, "search_box": 7, "fit_box": 9, "predict": "none", "sky": "auto"}
    result = tsogrid.measure(data, x=25, y=20, radius=3, center=center, input={"gain": 1.0}).compute()
    name = METHODS[method]
    assert np.isfinite(result[f"x_{name}"][0, 0])
    failed = (result.flags[:, 0] & int(SourceFlag.CENTER_FAILED)) != 0
    np.testing.assert_array_equal(failed, np.isnan(result[f"x_{name}"][:, 0]))
    assert failed.values[1]
    assert failed.values[2] or method == "center-of-mass"  # a slope has a centre of mass
    assert np.isnan(result.x[1, 0])


@pytest.mark.parametrize("method", ["gaussian-1d", "center-of-mass", "quadratic"])
def test_nothing_is_found_about_a_place_outside_the_frame(method):
    data = np.random.default_rng(0).normal(10, 1, (4, 40, 50)) + painted(1.0, 20.3, 50, 1.5, (40, 50))
    center = {"method": method, "fit_box": 11, "predict": "none"}
    result = tsogrid.measure(data, x=-3, y=20, radius=4, center=center, input={"gain": 1.0}).compute()
    assert ((result.flags & int(SourceFlag.CENTER_FAILED)) != 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("errors", [True, False])
def test_any_block_gives_the_same_bits(field, method, errors):
    data = np.concatenate([field[:, 90:130], field[:, 90:130] + 1])
    settings = {"x": [3, 196], "y": [20, 21]} | ({} if errors else {"input": {}})
    one, all_at_once = (measured(data, {"method": method}, block=block, **settings) for block in (1, 4))
    for name in one.data_vars:
        assert one[name].to_numpy().tobytes() == all_at_once[name].to_numpy().tobytes(), name


def test_a_median_of_the_new_centres(field):
    data = np.concatenate([field] * 2)
    for method in ("gaussian-1d", "quadratic"):
        result = measured(data, {"method": method, "position": "median"})
        np.testing.assert_array_equal(result.x[0], result[f"x_{METHODS[method]}"].median("time"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("predict", ["cross-correlation", "none"])
def test_a_stamp_gives_the_bits_of_the_whole_frame_with_bad_pixels_too(method, predict):
    rng = np.random.default_rng(5)
    frame = 50 + painted(22.5, 30.7, 4e4, 1.5, (60, 80)) + painted(57.1, 29.5, 2e4, 1.5, (60, 80))
    data = rng.poisson(frame, (20, 60, 80)).astype(np.float32)
    data[rng.random(data.shape) < 0.15] = np.nan
    center = {"method": method, "predict": predict, "search_box": 7, "fit_box": 9}
    sky = [{"method": "annulus", "inner": 3, "outer": 4}]
    config = with_settings(None, x=[22.5, 57], y=[30.6, 29.5], radius=2, sky=sky, center=center, input={"gain": 1.0})
    stamps = plan(tsogrid.open_frames(data, gain=1.0), config)
    assert len(stamps.windows) == 2
    whole = replace(stamps, windows=(Window(0, 60, 0, 80, (0, 1)),))
    first, second = stamps.measure(0, 20), whole.measure(0, 20)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name
