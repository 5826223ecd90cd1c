"""Centre of mass and cross-correlation against photutils, scipy and analytic truth, and the JWST reference table."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.centroids import centroid_com, centroid_sources
from scipy.signal import correlate2d

from tests.samples import SHARED
from tsogrid.kernels.centroid import box_edge_level, center_of_mass, cross_correlation, gaussian_template
from tsogrid.kernels.gaussian import gaussian_fit


def stars(x, y, sigma, peak, shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    u, v = columns - np.reshape(x, (-1, 1, 1)), rows - np.reshape(y, (-1, 1, 1))
    return peak * np.exp(-(u**2 + v**2) / (2 * sigma**2))


@given(
    st.floats(0, 39) | st.integers(0, 78).map(lambda k: k / 2),
    st.floats(0, 29) | st.integers(0, 58).map(lambda k: k / 2),
    st.sampled_from([1, 3, 4, 11, 25, 80]),
    st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_center_of_mass_agrees_with_photutils(x, y, box, seed):
    rng = np.random.default_rng(seed)
    frame = rng.uniform(1, 100, (30, 40))
    frame[rng.random(frame.shape) < 0.2] = np.nan
    width = box - (box + 1) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # photutils warns about the pixels that are not finite
        expected = centroid_sources(frame - 0.5, x, y, box_size=width, centroid_func=centroid_com)
    result = center_of_mass(frame[None], [[x]], [[y]], box, 0.5)
    np.testing.assert_allclose([result.x[0, 0], result.y[0, 0]], np.ravel(expected), rtol=0, atol=1e-10, equal_nan=True)


def test_center_of_mass_that_is_nowhere_is_nan():
    data = np.zeros((5, 9, 9), np.float32)
    data[0] = np.nan
    data[1] = -1.0
    data[3, 4, 1], data[3, 4, 2] = 100.0, -99.0  # the centre falls outside the box
    data[4] = 1.0
    x = np.full((5, 1), 4.0)
    x[4] = np.nan
    result = center_of_mass(data, x, np.full((5, 1), 4.0), 7)
    assert np.isnan(result.x).all()
    assert np.isnan(result.y).all()
    off = center_of_mass(np.ones((1, 9, 9)), [[40.0, -1e300]], [[4.0, 4.0]], 7)
    assert np.isnan(off.x).all()


def test_center_of_mass_broadcasts_the_level():
    data = stars([10.2, 9.7], [11.0, 10.1], 1.5, 100.0, (22, 22)) + 5
    guess = np.full((2, 1), 10.0)
    result = center_of_mass(data, guess, guess, 19, [[5.0], [5.0]])
    np.testing.assert_allclose(result.x[:, 0], [10.2, 9.7], atol=1e-5)


def test_box_edge_level_is_the_median_of_the_edge():
    rng = np.random.default_rng(1)
    data = rng.normal(50, 5, (3, 20, 24)).astype(np.float32)
    data[rng.random(data.shape) < 0.1] = np.nan
    x, y = np.array([[10.0, 1.0], [10.5, 23.0], [np.nan, 60.0]]), np.full((3, 2), 9.4)
    level = box_edge_level(data, x, y, 9)
    for frame, source, column in ((0, 0, 10), (0, 1, 1), (1, 0, 10), (1, 1, 23)):
        edge = [
            data[frame, j, i]
            for j in range(5, 14)
            for i in range(column - 4, column + 5)
            if (j in (5, 13) or abs(i - column) == 4) and 0 <= i < 24
        ]
        assert level[frame, source] == pytest.approx(np.nanmedian(np.array(edge, dtype=float)), rel=1e-12)
    assert np.isnan(level[2]).all()


def test_gaussian_template_is_integrated_over_pixels():
    template = gaussian_template(0.7, 7)
    assert template.shape == (7, 7)
    assert template.sum() == pytest.approx(1, rel=1e-14)
    assert template[3, 3] == pytest.approx(math.erf(0.5 / (0.7 * math.sqrt(2))) ** 2, rel=1e-5)
    assert gaussian_template(2.0).shape == (13, 13)
    with pytest.raises(ValueError, match="positive width"):
        gaussian_template(0.0)


def direct_scores(frame, template, x, y, width):
    """Zero-mean correlation by scipy for a box inside the frame."""
    half = width // 2
    scores = correlate2d(frame, template - template.mean(), mode="same", boundary="fill")
    return scores[y - half : y + half + 1, x - half : x + half + 1]


@pytest.mark.parametrize("separable", [True, False])
def test_cross_correlation_finds_the_peak_that_scipy_finds(separable):
    rng = np.random.default_rng(3)
    x, y = 32 + rng.uniform(-6, 6, (2, 40))
    data = stars(x, y, 1.8, 500.0, (64, 66)) + rng.normal(1e4, 10, (40, 64, 66))
    template = gaussian_template(1.8)
    if not separable:
        template = template + 1e-3 * rng.random(template.shape)
    guess = np.full((40, 1), 32.0)
    result = cross_correlation(data, guess, guess, 19, template)
    for k in range(40):
        scores = direct_scores(data[k], template, 32, 32, 19)
        row, column = np.unravel_index(np.argmax(scores), scores.shape)
        assert abs(result.x[k, 0] - (23 + column)) <= 1
        assert abs(result.y[k, 0] - (23 + row)) <= 1
    assert np.std(result.x[:, 0] - x) < 0.06
    assert np.abs(result.y[:, 0] - y).max() < 0.15


def test_cross_correlation_near_and_beyond_the_edge():
    x, y = np.array([2.3, 37.2, 20.0, 20.0]), np.array([1.6, 38.4, 20.0, 20.0])
    data = stars(x, y, 1.5, 300.0, (40, 40)) + 1000.0
    guess_x, guess_y = np.array([[3.0], [36.0], [11.0], [900.0]]), np.array([[3.0], [36.0], [20.0], [20.0]])
    result = cross_correlation(data, guess_x, guess_y, 13, gaussian_template(1.5))
    np.testing.assert_allclose(result.x[:2, 0], x[:2], atol=0.2)
    np.testing.assert_allclose(result.y[:2, 0], y[:2], atol=0.2)
    assert result.x[2, 0] == 17.0  # the star is outside the box: the border pixel nearest to it
    assert np.isnan(result.x[3, 0])


def test_cross_correlation_with_bad_pixels():
    data = np.repeat(stars([20.3], [19.8], 1.8, 500.0, (40, 40)) + 100, 4, axis=0)
    data[0, 20, 20] = np.nan
    data[1, 12:17, 12:17] = np.inf
    data[2, 14:27, 14:20] = np.nan
    data[3, :, :23] = np.nan
    guess = np.full((4, 1), 20.0)
    result = cross_correlation(data, guess, guess, 13, gaussian_template(1.8))
    np.testing.assert_allclose(result.x[:2, 0], 20.3, atol=0.1)
    np.testing.assert_allclose(result.y[:2, 0], 19.8, atol=0.1)
    assert np.isfinite(result.x[2, 0])
    assert np.isnan(result.x[3, 0])
    flat = cross_correlation(np.zeros((1, 40, 40)), [[20.0]], [[20.0]], 13, gaussian_template(1.8))
    assert np.isnan(flat.x[0, 0])


@pytest.mark.parametrize("psf", [np.ones((4, 4)), np.ones((3, 5)), np.full((3, 3), np.nan)])
def test_wrong_templates_are_refused(psf):
    with pytest.raises(ValueError, match="template must be"):
        cross_correlation(np.zeros((1, 9, 9)), [[4.0]], [[4.0]], 5, psf)


@pytest.mark.parametrize(
    "data",
    [np.zeros((9, 9)), np.zeros((1, 9, 9), int), np.zeros((1, 9, 9), ">f4"), np.zeros((1, 9, 18))[..., ::2]],
)
def test_wrong_frames_are_refused(data):
    with pytest.raises(ValueError, match="frames"):
        center_of_mass(data, [[4.0]], [[4.0]], 5)
    with pytest.raises(ValueError, match="full width"):
        center_of_mass(np.zeros((1, 9, 9)), [[4.0]], [[4.0]], 0)


def test_bits_depend_on_the_frame_alone():
    rng = np.random.default_rng(7)
    x, y = 1230 + rng.uniform(-1, 1, (6, 1)), 40 + rng.uniform(-1, 1, (6, 1))
    data = np.full((6, 90, 1300), np.nan, np.float32)
    data[:, :, 1180:1280] = stars(x[:, 0] - 1180, y[:, 0], 1.8, 3000.0, (90, 100)) + rng.normal(50, 5, (6, 90, 100))
    template = gaussian_template(1.8)

    def measure(frames, columns, rows):
        level = box_edge_level(frames, columns, rows, 21)
        mass = center_of_mass(frames, columns, rows, 21, level)
        return [level, *mass, *cross_correlation(frames, columns, rows, 21, template)]

    whole = measure(data, x, y)
    stamp = measure(np.ascontiguousarray(data[:, 11:80, 1190:1275]), x - 1190, y - 11)
    for values, moved, shift in zip(whole, stamp, (0, 1190, 11, 1190, 11), strict=True):
        assert np.isfinite(values).all()
        assert np.array_equal(values, moved + shift)
    for k in range(6):
        for values, alone in zip(whole, measure(data[k : k + 1], x[k : k + 1], y[k : k + 1]), strict=True):
            assert np.array_equal(values[k], alone[0])


def test_jwst_reference_table():
    folder = SHARED / "jwst"
    if not folder.is_dir():
        pytest.skip("the JWST sample is not here")
    fits = pytest.importorskip("astropy.io.fits")
    from astropy.table import Table

    table = Table.read(folder / "ecsv" / "a_moving_r3_4_5.ecsv")
    with fits.open(folder / "a_nrc_sub64p_calints.fits") as hdus:
        header = hdus["SCI"].header
        science = hdus["SCI"].data.astype(np.float32) * np.float32(1e6 * header["PIXAR_SR"])
        bad = ((hdus["DQ"].data & 1) > 0) | ~np.isfinite(science)
    planned = header["XREF_SCI"] - 1, header["YREF_SCI"] - 1
    rows, columns = np.mgrid[: science.shape[1], : science.shape[2]]

    def without_sky(x, y):
        far = np.hypot(columns - x, rows - y) > 4
        values = np.where(np.isfinite(science), science, np.nan)[:, far]
        level = np.nanmedian(values, axis=1).astype(np.float32)
        return np.where(bad, np.nan, science - level[:, None, None]).astype(np.float32)

    ones = np.ones((len(science), 1))
    coarse = center_of_mass(without_sky(*planned), ones * planned[0], ones * planned[1], 41)
    guess = np.nanmedian(coarse.x), np.nanmedian(coarse.y)
    clean = without_sky(*guess)
    center = center_of_mass(clean, ones * guess[0], ones * guess[1], 11)
    np.testing.assert_allclose(center.x[:, 0], table["centroid_x"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(center.y[:, 0], table["centroid_y"], rtol=0, atol=1e-9)
    fit = gaussian_fit(clean, None, *center, 11, weights="none", fixed_center=True, fit_offset=False)
    flux = 2 * np.pi * fit.amplitude * fit.sigma_x * fit.sigma_y
    known = np.isfinite(np.asarray(table["psf_width_x"]))
    for values, name in ((fit.sigma_x, "psf_width_x"), (fit.sigma_y, "psf_width_y"), (flux, "psf_flux")):
        np.testing.assert_allclose(values[known, 0], np.asarray(table[name])[known], rtol=1e-4)


def gaussian_star(x, y, height, shape, sigma=1.5):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize(("drift", "meant"), [(0.0, True), (6.0, True), (-6.0, True), (20.0, False)])
def test_a_brighter_neighbour_does_not_take_the_place_of_the_star_that_was_meant(drift, meant):
    rng = np.random.default_rng(2)
    star, neighbour = (40.3 - drift, 38.6), (70.1 - drift, 30.2)
    frame = gaussian_star(*star, 300, (80, 110)) + gaussian_star(*neighbour, 1200, (80, 110)) + rng.normal(9, 4, (80, 110))
    found = cross_correlation(frame[None], np.array([[40.0]]), np.array([[38.0]]), 61, gaussian_template(1.5))
    x, y = star if meant else neighbour
    assert abs(found.x[0, 0] - x) < 0.3
    assert abs(found.y[0, 0] - y) < 0.3


@pytest.mark.parametrize("height", [12.0, 40.0, 1e5])
def test_a_lone_star_is_found_anywhere_in_the_box(height):
    rng = np.random.default_rng(int(height))
    places = np.linspace(14, 46, 33)
    frames = np.stack([gaussian_star(x, 31.4, height, (60, 60)) + rng.normal(50, 2, (60, 60)) for x in places])
    guess = np.full((33, 1), 30.0)
    found = cross_correlation(frames, guess, guess, 41, gaussian_template(1.5))
    assert np.median(np.abs(found.x[:, 0] - places)) < 0.3
    assert np.mean(np.abs(found.x[:, 0] - places) < 2) > 0.95
