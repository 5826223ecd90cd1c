"""Which frames of a series are measured: those that hold every source, by their own world coordinates."""

import json
import warnings

import numpy as np
import xarray as xr

from tsogrid.config import Config
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.field.wcs import sky_to_pixels


def frames_containing(frames: xr.Dataset, config: Config) -> xr.Dataset:
    """Leave out frames in which a source that is given by ra and dec falls outside the image.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`; its pixels are not read.
    config : Config
        Without ``input.containing`` nothing is left out.

    Returns
    -------
    Dataset
        What is left, in its order. Where the index is the frame number it counts anew.

    Raises
    ------
    ConfigError
        No source is given by ra and dec.
    InputError
        No frame is left.

    Warns
    -----
    TsogridWarning
        How many frames were left out.
    """
    if not config.input.containing:
        return frames
    sky = np.array([[source.ra, source.dec] for source in config.stars if source.ra is not None], float)
    if not len(sky):
        raise ConfigError(
            "input.containing: expected sources given by ra and dec, found none. Leave it out, or give them so."
        )
    n_frames = frames.sizes["time"]
    texts = frames["wcs"].to_numpy() if "wcs" in frames.coords else [frames.attrs.get("wcs", "")] * n_frames
    pixels, usable = sky_to_pixels(texts, sky)
    last = np.array([frames.sizes["x"], frames.sizes["y"]]) - 0.5
    kept = np.asarray(((pixels >= -0.5) & (pixels <= last)).all(axis=(1, 2)))
    without = f" ({(~usable).sum()} of them have no usable WCS)" if not usable.all() else ""
    if not kept.any():
        raise InputError(
            f"input.containing: expected frames that hold every source given by ra and dec, found none among {n_frames}"
            f"{without}. Mend the positions in sources:, or leave out input.containing."
        )
    if kept.all():
        return frames
    warnings.warn(
        f"{(~kept).sum()} of {n_frames} frames do not hold every source by their own WCS and are left out{without} "
        "(input.containing)",
        TsogridWarning,
        stacklevel=2,
    )
    return _chosen(frames, kept)


def _chosen(frames: xr.Dataset, kept: np.ndarray) -> xr.Dataset:
    chosen = frames.isel(time=np.flatnonzero(kept))
    if frames["time"].dtype.kind in "iu":
        index = xr.Variable("time", np.arange(kept.sum()), frames["time"].attrs)
        chosen = chosen.assign_coords(time=index)
    inputs = json.loads(frames.attrs.get("inputs", "[]"))
    if len(inputs) == kept.size:  # one frame a file: files that are left out are no inputs
        left = [each for each, keep in zip(inputs, kept, strict=True) if keep]
        chosen.attrs["inputs"] = json.dumps(left)
    return chosen
