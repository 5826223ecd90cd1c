"""One width for all stars of a frame: the median of those that were fitted, to the bit as numpy has it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.kernels.widths import LEAST_FWHM, median_fwhm, seen_fwhm


@given(st.integers(0, 10**6), st.integers(1, 9), st.floats(0, 0.9))
def test_the_median_of_what_was_fitted(seed, sources, lost):
    rng = np.random.default_rng(seed)
    widths = rng.normal(3, 2, (2, 12, sources))
    widths[rng.random(widths.shape) < lost] = np.nan
    widths[rng.random(widths.shape) < 0.05] = np.inf
    found = median_fwhm(*widths)
    for frame in range(12):
        x, y = abs(widths[:, frame])
        fitted = np.isfinite(x + y) & (x > LEAST_FWHM) & (y > LEAST_FWHM)
        expected = np.median(np.concatenate([x[fitted], y[fitted]])) if fitted.any() else np.nan
        np.testing.assert_array_equal(found[frame], expected)


def test_pixels_widen_the_light():
    sigma = np.array([0.5, 2.0])
    np.testing.assert_allclose(seen_fwhm(sigma), 2.3548200450309493 * np.hypot(sigma, np.sqrt(1 / 12)), rtol=1e-14)
