"""Images that a configuration names: a PSF binned to detector pixels, a gain cut to the subarray."""

import numpy as np
import pytest
from astropy.io import fits

from tsogrid.errors import ConfigError, InputError
from tsogrid.io.images import PSF_WIDTH, read_gain, read_psf


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [44, 45])
def test_a_psf_is_binned_about_its_centre(tmp_path, factor, width):
    axis = np.arange(width) - (width - 1) / 2
    image = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / 2 / (1.5 * factor) ** 2)
    fits.HDUList([fits.PrimaryHDU(image, fits.Header({"OVERSAMP": factor}))]).writeto(tmp_path / "psf.fits")
    psf = read_psf(tmp_path / "psf.fits")
    assert psf.shape[0] % 2 == 1
    assert psf.shape[0] <= PSF_WIDTH
    assert psf.sum() == pytest.approx(1)
    np.testing.assert_allclose(psf, psf[::-1, ::-1], atol=1e-12)
    assert np.unravel_index(psf.argmax(), psf.shape) == (psf.shape[0] // 2, psf.shape[1] // 2)


def test_a_full_frame_gain_is_cut_to_the_subarray(tmp_path):
    gain = np.arange(100.0).reshape(10, 10)
    fits.HDUList([fits.PrimaryHDU(header=fits.Header({"SUBSTRT1": 1, "SUBSTRT2": 1})), fits.ImageHDU(gain)]).writeto(
        tmp_path / "gain.fits"
    )
    frames = {"subarray_origin": [3, 5], "units": "DN/s"}
    np.testing.assert_array_equal(read_gain(tmp_path / "gain.fits", frames, (4, 3)), gain[4:8, 2:5])


def test_a_gain_knows_its_own_subarray_from_the_primary_header(tmp_path):
    gain = np.arange(1.0, 101).reshape(10, 10)
    gain[2, 2] = np.nan
    primary = fits.PrimaryHDU(header=fits.Header({"SUBSTRT1": 11, "SUBSTRT2": 21}))
    fits.HDUList([primary, fits.ImageHDU(gain)]).writeto(tmp_path / "gain.fits")
    cut = read_gain(tmp_path / "gain.fits", {"subarray_origin": [12, 22], "units": "DN"}, (3, 3))
    np.testing.assert_array_equal(cut, gain[1:4, 1:4])
    with pytest.raises(InputError, match="covers the 3 × 3 pixels"):
        read_gain(tmp_path / "gain.fits", {"subarray_origin": [1, 1], "units": "DN"}, (3, 3))


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_psf(tmp_path / "none.fits")
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(InputError, match="expected a FITS image"):
        read_psf(tmp_path / "text.fits")
    fits.PrimaryHDU(np.zeros((9, 9))).writeto(tmp_path / "zero.fits")
    with pytest.raises(InputError, match="positive sum"):
        read_psf(tmp_path / "zero.fits")
