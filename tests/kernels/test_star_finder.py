"""Stars of a frame: where they are, and what is none."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.detection import DAOStarFinder

from tsogrid.kernels.star_finder import star_field
from tsogrid.simulate.wandering import simulate_wandering


def grid_of_stars(flux=2e4, sigma=1.5, noise=3.0, shape=(128, 160), offset=0.3, seed=1):
    """Stars 32 pixels apart, each at another place within its pixel; the frame and their x, y."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[24 : shape[0] - 16 : 32, 24 : shape[1] - 16 : 32].reshape(2, -1).astype(float)
    x, y = columns + rng.uniform(-offset, offset, columns.size), rows + rng.uniform(-offset, offset, rows.size)
    j, i = np.mgrid[: shape[0], : shape[1]]
    frame = np.full(shape, 100.0)
    for column, row in zip(x, y, strict=True):
        star = np.exp(-0.5 * ((i - column) ** 2 + (j - row) ** 2) / sigma**2)
        frame += flux * star / (2 * np.pi * sigma**2)
    return frame + noise * rng.standard_normal(shape), x, y


def distances(found, frame, x, y):
    """Distance of each true star to the nearest that was found."""
    return np.nanmin(np.hypot(found.x[frame] - x[:, None], found.y[frame] - y[:, None]), axis=1)


def test_places_fluxes_and_widths_are_those_of_gaussian_stars():
    frame, x, y = grid_of_stars(noise=0.02)
    found = star_field(frame[None])
    assert found.number[0] == len(x)
    assert distances(found, 0, x, y).max() < 2e-3
    np.testing.assert_allclose(found.flux[0, : len(x)], 2e4, rtol=0.01)
    np.testing.assert_allclose(found.width[0], 1.5, rtol=0.02)
    assert np.isnan(found.x[0, len(x) :]).all()


def test_errors_of_centres_are_what_centres_scatter_by():
    pulls = []
    for seed in range(10):
        frame, x, y = grid_of_stars(flux=1500, noise=5.0, seed=seed)
        found = star_field(frame[None])
        nearest = np.nanargmin(np.hypot(found.x[0][:, None] - x, found.y[0][:, None] - y), axis=0)
        pulls.append((found.x[0, nearest] - x) / found.error[0, nearest])
    assert 0.8 < np.std(np.concatenate(pulls)) < 1.3


def test_hot_pixels_and_cosmic_rays_are_no_stars():
    frame, x, y = grid_of_stars()
    rng = np.random.default_rng(5)
    for _ in range(120):
        j, i = rng.integers(3, 125), rng.integers(3, 157)
        if np.hypot(x - i, y - j).min() > 6:
            frame[j, i : i + rng.integers(1, 4)] += 3e4
    found = star_field(frame[None])
    assert distances(found, 0, x, y).max() < 0.1
    assert found.number[0] == len(x)


def test_a_trail_is_no_row_of_stars():
    frame, x, y = grid_of_stars()
    j, i = np.mgrid[: frame.shape[0], : frame.shape[1]]
    across = (i - 20) * np.sin(0.6) - (j - 10) * np.cos(0.6)
    frame = frame + 4000 * np.exp(-0.5 * (across / 1.5) ** 2)
    found = star_field(frame[None])
    beside = np.abs((x - 20) * np.sin(0.6) - (y - 10) * np.cos(0.6)) > 12
    assert distances(found, 0, x[beside], y[beside]).max() < 0.1
    assert found.number[0] < 1.5 * len(x)


def test_a_trail_that_outshines_all_stars_hides_but_those_under_it():
    """Its noise makes hundreds of peaks, each higher than any star."""
    rng = np.random.default_rng(3)
    frame, x, y = grid_of_stars(flux=8e3, shape=(700, 700))
    j, i = np.mgrid[:700, :700]
    across = (i - 350) * np.sin(0.25) - (j - 350) * np.cos(0.25)
    trail = 3000 * np.exp(-0.5 * (across / 2.0) ** 2)
    found = star_field((frame + rng.poisson(trail))[None], 600)
    beside = np.abs((x - 350) * np.sin(0.25) - (y - 350) * np.cos(0.25)) > 15
    assert distances(found, 0, x[beside], y[beside]).max() < 0.2
    assert found.number[0] < 1.2 * len(x)


def test_stars_out_of_focus_are_found_whole():
    frame, x, y = grid_of_stars(flux=4e5, sigma=4.5)
    found = star_field(frame[None])
    assert found.number[0] == len(x)
    assert distances(found, 0, x, y).max() < 0.1
    np.testing.assert_allclose(found.width[0], 4.5, rtol=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_found_where_nothing_is(dtype):
    rng = np.random.default_rng(2)
    noise = rng.normal(100, 5, (96, 96))
    frames = np.stack([noise, np.full((96, 96), 7.0), np.full((96, 96), np.nan), np.where(noise > 100, np.inf, noise)])
    found = star_field(frames.astype(dtype))
    assert found.number.tolist() == [0, 0, 0, 0]
    assert np.isnan(found.width).all()
    assert star_field(np.zeros((1, 5, 5), dtype)).number[0] == 0
    with pytest.raises(ValueError, match="expected"):
        star_field(np.zeros((4, 4), dtype))


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(-7, 7), st.integers(-7, 7), st.floats(0.5, 30))
def test_stars_move_with_the_frame_and_grow_with_its_unit(seed, right, up, unit):
    frame, x, y = grid_of_stars(seed=seed % 1000)
    rng = np.random.default_rng(seed)
    frame[rng.random(frame.shape) < 0.002] = np.nan
    moved = np.roll(frame, (up, right), (0, 1))
    series = np.stack([frame, moved, unit * frame])
    found = star_field(series)
    there = distances(found, 1, x + right, y + up)
    assert np.median(there) < 0.05
    np.testing.assert_allclose(found.flux[2], unit * found.flux[0], rtol=1e-3)
    np.testing.assert_allclose(found.x[2], found.x[0], atol=1e-3)
    alone = star_field(series[1:2])
    for both, one in zip(found, alone, strict=True):
        np.testing.assert_array_equal(both[1:2], one)


def test_as_many_as_photutils_finds():
    truth = simulate_wandering(1, (300, 340), stars=60, faintest=8e3, seed=4)
    found = star_field(truth.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        finder = DAOStarFinder(threshold=60.0, fwhm=3.5)
        peer = finder(np.asarray(truth.data[0] - np.median(truth.data[0]), float))
    names = ("xcentroid", "ycentroid") if "xcentroid" in peer.colnames else ("x_centroid", "y_centroid")
    px, py = (np.asarray(peer[name]) for name in names)
    inside = (px > 10) & (px < 330) & (py > 10) & (py < 290)
    near = distances(found, 0, px[inside], py[inside])
    assert inside.sum() > 30
    assert np.mean(near < 0.3) > 0.9
