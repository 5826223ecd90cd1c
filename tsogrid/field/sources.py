"""The sources of a run and where they are planned to be, in each frame."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.config import Config
from tsogrid.errors import InputError, TsogridWarning
from tsogrid.field.drift import read_drift
from tsogrid.field.positions import read_positions, read_widths
from tsogrid.field.wcs import sky_to_pixel, sky_to_pixels


@dataclass(frozen=True)
class Sources:
    """Names, roles and planned positions.

    Parameters
    ----------
    names, roles : tuple of str
        One a source; a role is target or reference.
    planned : ndarray, shape (1 or n_frames, n_sources, 2)
        Planned x, y in 0-based pixels; one frame where they are the same in all. NaN where a position file has no row, or a
        frame no world coordinates.
    stand_in : ndarray of bool, shape (n_frames, n_sources), or None
        Where a position file has no row and the source's own position stands in for it (``center.fallback: planned``).
    fwhm : ndarray, shape (n_frames,), or None
        Median FWHM of the stars in pixels, where positions come from another result that has measured it.
    """

    names: tuple[str, ...]
    roles: tuple[str, ...]
    planned: np.ndarray
    stand_in: np.ndarray | None = None
    fwhm: np.ndarray | None = None


def find_sources(
    config: Config,
    attributes: dict[str, Any],
    n_frames: int,
    shape: tuple[int, int],
    reach: float,
    wcs: Sequence[str] | np.ndarray | None = None,
    files: Sequence[str] = (),
) -> Sources:
    """Find the sources of a run.

    Parameters
    ----------
    config : Config
        The configuration; without sources the header's reference pixel is taken, else the frame's centre.
    attributes : dict
        Attributes of the frames: ``x_ref``, ``y_ref``, ``wcs``.
    n_frames : int
        Length of the series.
    shape : (int, int)
        Rows and columns of a frame.
    reach : float
        Radius of the largest aperture, in pixels.
    wcs : sequence of str, optional
        Where frames have world coordinates of their own: the FITS cards of each.
    files : sequence of str, optional
        File of each frame, by which positions and shifts of other results are told apart.

    Returns
    -------
    Sources

    Raises
    ------
    InputError
        A source lies outside every frame, or has no position.
    ConfigError
        A position file or a drift cannot be read, or names unknown sources.

    Warns
    -----
    TsogridWarning
        Some frames have no usable world coordinates: sources given by ra and dec have no place in them.
    """
    ny, nx = shape
    names = [source.name for source in config.stars] or ["target"]
    roles = [source.role for source in config.stars] or ["target"]
    stand_in = None
    if config.center.position == "file":
        planned = read_positions(Path(str(config.center.position_file)), names, n_frames, files)
        missing = ~np.isfinite(planned).all(axis=2)
        if config.center.fallback == "planned" and missing.any():
            own = np.broadcast_to(_own_positions(config, attributes, shape, wcs), planned.shape)
            planned = np.where(missing[:, :, None], own, planned)
            stand_in = missing & np.isfinite(own).all(axis=2)
    else:
        planned = _own_positions(config, attributes, shape, wcs)
    if config.center.drift is not None:
        planned = planned + read_drift(config.center.drift, n_frames, files)[:, None, :]
    for index, name in enumerate(names):
        x, y = planned[:, index, 0], planned[:, index, 1]
        touches = (x > -0.5 - reach) & (x < nx - 0.5 + reach) & (y > -0.5 - reach) & (y < ny - 0.5 + reach)
        if not touches.any():
            raise InputError(
                f"Source {name!r} at x = {_middle(x):g}, y = {_middle(y):g} lies outside every frame: "
                f"expected 0 ≤ x ≤ {nx - 1} and 0 ≤ y ≤ {ny - 1} (0-based pixels). Mend its position in sources:."
            )
    fwhm = None
    if config.center.position == "file" and config.follows_width:
        fwhm = read_widths(Path(str(config.center.position_file)), n_frames, files)
    return Sources(tuple(names), tuple(roles), planned, stand_in, fwhm)


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _own_positions(
    config: Config, attributes: dict[str, Any], shape: tuple[int, int], wcs: Sequence[str] | np.ndarray | None
) -> np.ndarray:
    """Positions that the sources are given with; shape (1 or n_frames, n_sources, 2)."""
    ny, nx = shape
    if not config.stars:
        default = (attributes.get("x_ref", (nx - 1) / 2), attributes.get("y_ref", (ny - 1) / 2))
        return np.array([[default]], float)
    on_sky = [index for index, source in enumerate(config.stars) if source.x is None or source.y is None]
    own = np.array([[(_number(source.x), _number(source.y)) for source in config.stars]])
    if not on_sky:
        return own
    sky = np.array([(_number(config.stars[index].ra), _number(config.stars[index].dec)) for index in on_sky])
    if wcs is None:
        for index, (ra, dec) in zip(on_sky, sky, strict=True):
            own[0, index] = sky_to_pixel(attributes.get("wcs"), ra, dec, config.stars[index].name)
        return own
    pixels, usable = sky_to_pixels(wcs, sky)
    if not usable.all():
        warnings.warn(
            f"{(~usable).sum()} of {usable.size} frames have no usable WCS: sources given by ra and dec are NaN in them",
            TsogridWarning,
            stacklevel=2,
        )
    own = np.repeat(own, len(pixels), axis=0)
    own[:, on_sky] = pixels
    return own


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
