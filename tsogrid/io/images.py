"""Images that a configuration names: a PSF for the cross-correlation, a gain for every pixel, a mask."""

from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.errors import ConfigError, InputError

PSF_WIDTH = 21  # detector pixels of a PSF image that are used; its wings move no peak


def _first_image(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    from astropy.io import fits  # 10 MB, seldom needed

    try:
        with fits.open(path) as hdus:
            for hdu in hdus:
                if hdu.is_image and hdu.data is not None:
                    # JWST reference files keep their subarray in the primary header.
                    return np.asarray(hdu.data, float), dict(hdus[0].header) | dict(hdu.header)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: expected a FITS image, found: {error}.") from None
    raise InputError(f"{path}: expected a FITS image, found none.")


def _binned(edges: np.ndarray, axis_length: int) -> np.ndarray:
    """Share of every sample in every detector pixel; shape (n_pixels, axis_length)."""
    left = np.arange(axis_length) - 0.5
    low = np.maximum(edges[:-1, None], left[None])
    high = np.minimum(edges[1:, None], left[None] + 1)
    return np.clip(high - low, 0, None)


def read_psf(path: Path) -> np.ndarray:
    """Read a PSF image and bin it to detector pixels.

    Parameters
    ----------
    path : Path
        A FITS image whose centre is the star; OVERSAMP or DET_SAMP (as stpsf writes it) says how many samples make a pixel.

    Returns
    -------
    ndarray, shape (k, k), k odd
        Detector pixels, sum 1, at most `PSF_WIDTH` wide.

    Raises
    ------
    ConfigError, InputError
        No such file, or not a 2-D image with a positive sum.
    """
    image, header = _first_image(path)
    if image.ndim != 2:
        raise InputError(f"{path}: expected a 2-D PSF image, found {image.ndim} dimensions.")
    factor = 1.0
    for keyword in ("OVERSAMP", "DET_SAMP", "OVERSAMPLE"):
        if keyword in header:
            factor = float(header[keyword])
            break
    image = np.nan_to_num(image)
    width = int(min(image.shape) / factor)
    width = min(width if width % 2 else width - 1, PSF_WIDTH)
    if width < 3 or image.sum() <= 0:
        raise InputError(f"{path}: expected a PSF of 3 or more pixels with a positive sum (oversampling {factor:g}).")
    shares = []
    for length in image.shape:
        edges = (length - 1) / 2 + (np.arange(width + 1) - width / 2) * factor
        shares.append(_binned(edges, length))
    psf = shares[0] @ image @ shares[1].T
    return psf / psf.sum()


def read_gain(path: Path, attributes: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Read a gain image and cut out the frames' subarray.

    Parameters
    ----------
    path : Path
        A FITS image, full frame or of the subarray, in electron per data unit.
    attributes : dict
        Attributes of the frames: ``subarray_origin`` (SUBSTRT1, SUBSTRT2, 1-based).
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    ndarray, shape (ny, nx)
        Electrons in one data unit, NaN where the gain is unknown.

    Raises
    ------
    ConfigError, InputError
        No such file, or an image that does not cover the subarray.
    """
    image, header = _first_image(path)
    if image.ndim != 2:
        raise InputError(f"{path}: expected a 2-D gain image, found {image.ndim} dimensions.")
    if image.shape != shape:
        # Both images lie on the detector; the gain's own origin is 1, 1 for a full frame.
        column, row = (int(value) for value in attributes.get("subarray_origin", [1, 1]))
        column -= int(header.get("SUBSTRT1", 1))
        row -= int(header.get("SUBSTRT2", 1))
        cut = image[max(row, 0) : row + shape[0], max(column, 0) : column + shape[1]]
        if row < 0 or column < 0 or cut.shape != shape:
            raise InputError(
                f"{path}: expected a gain image that covers the {shape[1]} × {shape[0]} pixels of the subarray, "
                f"found {image.shape[1]} × {image.shape[0]}."
            )
        image = cut
    return np.where(np.isfinite(image) & (image > 0), image, np.nan)


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read an image of bad pixels.

    Parameters
    ----------
    path : Path
        A FITS file; its first image has the shape of a frame. Pixels that are not 0, or not finite, are bad.
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True where bad.

    Raises
    ------
    ConfigError, InputError
        No such file, no image, or one of another shape.
    """
    image, _ = _first_image(path)
    if image.shape != shape:
        found = " × ".join(str(length) for length in reversed(image.shape))
        raise InputError(
            f"calibrate.mask: {path}: expected an image of {shape[1]} × {shape[0]} pixels (x × y) like the frames, "
            f"found {found}. Give a mask of the subarray that was read."
        )
    return ~(image == 0)
