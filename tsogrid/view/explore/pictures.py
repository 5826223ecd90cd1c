"""Frames for the explorer's page: one stamp about the source, and the whole frame made small; only their bytes are read."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

MOST_SIDE = 400  # pixels of the picture of a whole frame along its longer side
LIGHT, DARK = 99.7, 5.0  # percentiles of the pixels that are white and black


@dataclass(frozen=True)
class Picture:
    """Pixels and where they lie.

    Parameters
    ----------
    image : ndarray, shape (h, w)
        Pixels; NaN where bad.
    x, y : float
        Left and lower edge in pixels of the frame.
    width, height : float
        In pixels of the frame.
    """

    image: np.ndarray
    x: float
    y: float
    width: float
    height: float

    @property
    def range(self) -> tuple[float, float]:
        """From black to white."""
        good = self.image[np.isfinite(self.image)]
        if good.size == 0:
            return 0.0, 1.0
        low, high = np.percentile(good, (DARK, LIGHT))
        return float(low), float(high if high > low else low + 1.0)


def frame_number(frames: xr.Dataset, result: xr.Dataset, number: int) -> int | None:
    """Find a frame of a result among frames that were opened, which may be fewer.

    Parameters
    ----------
    frames, result : Dataset
        Both with ``time``, and ``file`` and ``integration`` as far as known.
    number : int
        In the result.

    Returns
    -------
    int or None
        None where it is not there.
    """
    if "file" in frames.coords and "file" in result.coords:
        same = frames["file"].to_numpy() == result["file"].to_numpy()[number]
        if "integration" in frames.coords and "integration" in result.coords:
            same = same & (frames["integration"].to_numpy() == result["integration"].to_numpy()[number])
        found = np.flatnonzero(same)
        if found.size == 1:
            return int(found[0])
    time = np.asarray(frames["time"], float)
    found = np.flatnonzero(np.abs(time - float(result["time"][number])) < 1e-7)
    return int(found[0]) if found.size else None


def stamp(frames: xr.Dataset, number: int, x: float, y: float, half: float) -> Picture:
    """Read the pixels about a source.

    Parameters
    ----------
    frames : Dataset
        Opened frames.
    number : int
        Which.
    x, y : float
        The source; the frame's middle where it is not finite.
    half : float
        Half the side of the stamp, in pixels.

    Returns
    -------
    Picture
        Cut at the borders of the frame; at least one pixel.
    """
    ny, nx = frames.sizes["y"], frames.sizes["x"]
    if not (np.isfinite(x) and np.isfinite(y)):
        x, y = (nx - 1) / 2, (ny - 1) / 2
    (x0, x1), (y0, y1) = _inside(x, half, nx), _inside(y, half, ny)
    image = frames["data"].variable[number, y0:y1, x0:x1].to_numpy()
    return Picture(np.asarray(image, float), x0 - 0.5, y0 - 0.5, x1 - x0, y1 - y0)


def _inside(middle: float, half: float, size: int) -> tuple[int, int]:
    first = min(max(int(np.floor(middle - half)), 0), size - 1)
    return first, max(min(int(np.ceil(middle + half)) + 1, size), first + 1)


def whole_frame(frames: xr.Dataset, number: int) -> Picture:
    """Read a frame and make it small: each pixel of the picture is the mean of the good ones that it stands for."""
    ny, nx = frames.sizes["y"], frames.sizes["x"]
    image = np.asarray(frames["data"].variable[number].to_numpy(), float)
    step = max(1, -(-max(ny, nx) // MOST_SIDE))
    if step > 1:
        padded = np.full((-(-ny // step) * step, -(-nx // step) * step), np.nan)
        padded[:ny, :nx] = image
        parts = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
        good = np.isfinite(parts)
        count = good.sum(axis=(1, 3))
        image = np.where(count > 0, np.where(good, parts, 0.0).sum(axis=(1, 3)) / np.maximum(count, 1), np.nan)
    return Picture(image, -0.5, -0.5, image.shape[1] * step, image.shape[0] * step)
