"""Photometric scales: those of the old pipeline to the last digit, errors that hold, and no crash without data."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tsogrid.survey.lco.scale import photometric_scale, scale_by_filter

REFERENCE = Path(__file__).parents[1] / "data" / "lco" / "reference_aperture_photometry.hdf5"
CLOUDS = np.array([1.0, 0.93, 0.85, 0.97, 0.7, 0.99, 0.9, 1.02])


def stars(seed=1, count=100, scatter=0.01):
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(2, 4, (count, 1)) * CLOUDS * rng.normal(1, scatter, (count, 8))
    return flux, scatter * flux


def test_the_old_pipelines_numbers_to_the_last_digit():
    with h5py.File(REFERENCE) as file:
        there = {name: file[name][()] for name in file}
    scaled = photometric_scale(there["raw_flux"], there["raw_err_flux"])
    for name in ("pscale", "epscale", "flux", "err_flux"):
        np.testing.assert_array_equal(getattr(scaled, name), there[name], name)
    # Of 143 stars the median is known 9.5 times better than the stars scatter.
    np.testing.assert_allclose(scaled.epscale / scaled.scale_err, np.sqrt(143) / 1.2533, rtol=1e-4)


def test_the_error_of_the_scale_is_its_scatter():
    pulls = []
    for seed in range(150):
        scaled = photometric_scale(*stars(seed))
        ratio = scaled.pscale[1] / CLOUDS
        pulls.append((ratio / np.median(ratio) - 1) / (scaled.scale_err / scaled.pscale[1]))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)


def test_stars_and_images_without_data_do_not_count():
    flux, error = stars()
    plain = photometric_scale(flux, error)
    flux, error = np.concatenate([flux, np.full((900, 8), np.nan)]), np.concatenate([error, np.full((900, 8), np.nan)])
    flux[:, 2] = np.nan
    scaled = photometric_scale(flux, error)
    assert np.isnan(scaled.pscale[:, 2]).all()
    assert np.isnan(scaled.flux[:, 2]).all()
    assert scaled.n_scale[2] == 0
    assert scaled.n_scale[0] == 100
    kept = [0, 1, 3, 4, 5, 6, 7]
    ratio = scaled.pscale[1, kept] / plain.pscale[1, kept]  # the usual image is another one without the third
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, rtol=5e-3)


def test_a_single_image_has_scale_one_and_its_own_errors():
    flux, error = stars()
    scaled = photometric_scale(flux[:, :1], error[:, :1])
    assert scaled.pscale.ravel().tolist() == [1.0, 1.0, 1.0]
    assert np.isnan([scaled.epscale[0], scaled.scale_err[0]]).all()
    np.testing.assert_array_equal(scaled.flux, flux[:, :1])
    np.testing.assert_allclose(scaled.err_flux, error[:, :1])


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 4), (5, 3)])
def test_nothing_measured_is_nan_everywhere(shape):
    scaled = photometric_scale(np.full(shape, np.nan), np.full(shape, np.nan))
    assert scaled.pscale.shape == (3, shape[1])
    assert np.isnan(scaled.flux).all()
    assert np.isnan(scaled.pscale).all()


def test_each_filter_has_a_scale_of_its_own():
    flux, error = stars()
    red = np.array([True, False] * 4)
    flux[:, red] *= np.linspace(1, 9, 100)[:, None]
    scaled = scale_by_filter(flux, error, np.where(red, "ip", "gp"))
    for which in (red, ~red):
        alone = photometric_scale(flux[:, which], error[:, which])
        np.testing.assert_array_equal(scaled.flux[:, which], alone.flux)
        np.testing.assert_array_equal(scaled.pscale[:, which], alone.pscale)
