"""Profile photometry of one image: stars found, their profile, positions and fluxes, in turns until nothing new stands out.

Stars are looked for in the image; lonely ones tell the profile; all are fitted, those that overlap together; what is left of
the image tells the sky and shows the stars that were hidden by others. Each turn starts from the numbers of the one before,
so that sky, profile and fluxes settle against each other.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.matched_filter import matched_peaks
from tsogrid.kernels.moffat import add_moffats
from tsogrid.kernels.psf_group import fit_groups, group_errors
from tsogrid.kernels.star_finder import star_field
from tsogrid.survey.groups import fitted_together, group_numbers
from tsogrid.survey.psf_columns import source_rows
from tsogrid.survey.psf_frame import Frame, PsfSettings, make_ready
from tsogrid.survey.psf_stars import CLEAN, FAINTEST, FIRST, MOST, ROUGH, WHOLE, Psf, assumed_psf, choose, fit_psf
from tsogrid.survey.sky_surface import Sky, first_sky, sky_surface
from tsogrid.survey.source_table import SourceTable, empty_rows

RADIUS = 1.5  # FWHM: pixels so near to a star are fitted
ACTIVE = 3.0  # FWHM: farther from a star of its group a pixel takes it as it was
BOUND = 1.0  # FWHM that a star may move in one fit
FADED = 0.02  # of the sky's noise: so faint a star's wing ends
DARK = 2.0  # of the sky's noise: pixels with less light of stars tell the sky
TOO_NEAR = 0.4  # FWHM: nothing nearer to a star is another one
TRUST = 0.03  # of the light of the stars about: so well the profile is known at best, what is fainter is no star
FLANK = (0.5, 1.5)  # FWHM: where a profile that does not fit shows most
MISFITS = 3.0  # times what it leaves there on the average may be left somewhere
ONE_BY_ONE = 2.0  # FWHM: of new peaks so near to each other only the highest is taken
FEWEST_SIGMA = 0.5  # of the threshold: flux over its error that a fitted star keeps
_CORE = np.array([0.5, 1.2])  # FWHM: the light within the first radius, in that within the second, tells two from one
_WIDER = 1.12  # times what the narrowest stars have there
_ROUNDS = 6  # at most, of fits and of looks at what does not stand
_SWEEPS = 2  # through the groups, in a fit
_PER_GAUSS = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass
class _Stars:
    """The stars of an image, as far as known; arrays (n,), `turn` is the iteration in which each was found."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    turn: NDArray[np.int64]
    signal: NDArray[np.float64]
    converged: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.x.size

    def those(self, which: NDArray[np.bool_]) -> "_Stars":
        return _Stars(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def with_more(self, other: "_Stars") -> "_Stars":
        return _Stars(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__dataclass_fields__))


def photometry(
    data: ArrayLike, error: ArrayLike | None = None, mask: ArrayLike | None = None, settings: PsfSettings | None = None
) -> SourceTable:
    """Find and measure the stars of an image by the profile that they share.

    Parameters
    ----------
    data : (ny, nx) array_like
        Image; a pixel that is not finite is bad.
    error : (ny, nx) array_like, optional
        1 sigma of each pixel. Without it, the noise is the scatter of the sky and, in the stars, that of their electrons.
    mask : (ny, nx) array_like of bool, optional
        True where bad.
    settings : PsfSettings, optional
        Threshold, kind of profile, mode, border and bad columns.

    Returns
    -------
    SourceTable
        An image without good pixels or without stars gives a table without rows.

    Raises
    ------
    ConfigError
        If shapes do not fit or a setting is none.

    Notes
    -----
    The profile is a Moffat of whole flux (Moffat 1969, A&A 3, 455), so that a flux is the integral over the plane. Errors
    hold the joint covariance of the stars fitted together, the sky's error and that of the profile.
    """
    settings = settings or PsfSettings()
    frame = make_ready(data, error, mask, settings)
    sky = first_sky(frame.image, frame.good)
    if sky is None:
        return SourceTable(empty_rows())
    fwhm = _first_width(frame, settings)
    dark = np.zeros(frame.image.shape)
    frame.mark_cosmic_rays(_rest(frame, sky, dark), sky, dark, fwhm)
    psf = assumed_psf(fwhm)
    stars = _found(frame, sky, None, dark, psf, settings, 1)
    initial = pd.DataFrame({"x": stars.x, "y": stars.y, "flux": stars.flux, "signal": stars.signal})
    if len(stars):
        psf = _profile(frame, sky, stars, _model(frame, sky, stars, psf), psf, settings, early=True)
    for turn in range(1, settings.iterations + 1 if len(stars) else 1):
        model = _model(frame, sky, stars, psf)
        if turn > 1:
            frame.mark_cosmic_rays(_rest(frame, sky, model), sky, model, psf.fwhm)
            new = _found(frame, sky, stars, model, psf, settings, turn)
            if not len(new):
                break
            stars = stars.with_more(new)
        stars = _settled(frame, sky, stars, psf, settings, turn)
        model = _model(frame, sky, stars, psf)
        sky = _refined(frame, sky, model)
        if turn == 1 or settings.mode == "all":
            psf = _profile(frame, sky, stars, model, psf, settings, early=turn == 1)
    if len(stars) and settings.mode == "all":
        psf = _profile(frame, sky, stars, _model(frame, sky, stars, psf), psf, settings, WHOLE)
    for _ in range(2):
        stars = _settled(frame, sky, stars, psf, settings, stars.turn.max(initial=0))
        sky = _refined(frame, sky, _model(frame, sky, stars, psf))
    rows = _rows(frame, sky, stars, psf, settings) if len(stars) else empty_rows()
    return SourceTable(rows, psf, initial, float(np.median(sky.level)), float(np.median(sky.noise)))


def _first_width(frame: Frame, settings: PsfSettings) -> float:
    """Width of the stars before any is known, FWHM in pixels."""
    seen = np.where(frame.good | frame.saturated, frame.image, np.nan).astype(np.float32)
    width = star_field(seen[None]).width[0] if min(seen.shape) > 2 else np.nan
    return float(_PER_GAUSS * width) if np.isfinite(width) else settings.fwhm


def _rest(frame: Frame, sky: Sky, model: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image without its sky and its stars, NaN where bad."""
    return np.where(frame.good, frame.image - sky.level - model, np.nan)


def _reach(sky: Sky, stars: _Stars, psf: Psf) -> NDArray[np.float64]:
    return psf.reach(stars.flux, FADED * float(np.median(sky.noise)))


def _model(frame: Frame, sky: Sky, stars: _Stars, psf: Psf) -> NDArray[np.float64]:
    """Sum of the stars."""
    model = np.zeros(frame.image.shape)
    add_moffats(model, stars.x, stars.y, stars.flux, psf.shape, psf.nodes, _reach(sky, stars, psf))
    return model


def _found(
    frame: Frame, sky: Sky, known: _Stars | None, model: NDArray[np.float64], psf: Psf, settings: PsfSettings, turn: int
) -> _Stars:
    """Stars that stand out of the image, or of what the known ones leave of it."""
    rest = _rest(frame, sky, model)
    variance = frame.variance(sky) + frame.slope * model + (_trust(frame, sky, psf, model) * model) ** 2
    if known is None:
        rest = np.where(frame.saturated, frame.image - sky.level, rest)
        variance += frame.slope * np.maximum(uniform_filter(np.nan_to_num(rest), 3), 0.0)
    peaks = matched_peaks(rest, variance, psf.fwhm / _PER_GAUSS, settings.thresh)
    x, y, signal, height = peaks.T
    near = TOO_NEAR * psf.fwhm
    # Two stars taken for one leave a peak on both sides: the higher one is tried first.
    apart = near if known is None else ONE_BY_ONE * psf.fwhm
    keep = np.ones(len(peaks), bool)
    for k in range(len(peaks)):
        before = keep[:k] & ((x[:k] - x[k]) ** 2 + (y[:k] - y[k]) ** 2 < apart**2)
        keep[k] = not before.any()
        if known is not None:
            keep[k] &= not ((known.x - x[k]) ** 2 + (known.y - y[k]) ** 2 < near**2).any()
    x, y, signal, flux = x[keep], y[keep], signal[keep], height[keep] / psf.peak
    return _Stars(x, y, flux, np.full(x.size, turn), signal, np.zeros(x.size, bool))


def _profile(
    frame: Frame, sky: Sky, stars: _Stars, model: NDArray[np.float64], psf: Psf, settings: PsfSettings,
    radius: float = ROUGH, early: bool = False,
) -> Psf:  # fmt: skip
    """The profile that the stars share, from those that tell it best."""
    noise = math.sqrt(float(np.median(frame.variance(sky))))
    rough = stars.flux / np.sqrt(frame.slope * stars.flux + (1.5 * psf.fwhm * noise) ** 2)
    most = FIRST if psf.assumed else MOST
    good = rough > FAINTEST
    if early:
        good &= _compact(frame, sky, stars, psf.fwhm, good)
    full = np.argwhere(frame.saturated)
    if len(full):
        good &= cKDTree(full).query(np.stack([stars.y, stars.x], axis=1))[0] > CLEAN * psf.fwhm
    chosen, crowded = choose(stars.x, stars.y, stars.flux, good, frame.good, psf.fwhm, most)
    if not chosen.size:
        return psf
    return fit_psf(
        frame.image - sky.level, frame.variance(sky), frame.slope, frame.good, chosen, stars.x, stars.y, stars.flux, model,
        psf, settings.fittype == "circ", crowded, radius,
    )  # fmt: skip


def _compact(frame: Frame, sky: Sky, stars: _Stars, fwhm: float, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which stars have as much of their light in the core as the narrowest: not two that are still taken for one."""
    if not good.any():
        return good
    sums = circle_sums(
        _rest(frame, sky, np.zeros_like(sky.level))[None], None, stars.x[None], stars.y[None], _CORE * fwhm
    ).sum[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        wide = np.where(sums[:, 0] > 0, sums[:, 1] / sums[:, 0], np.inf)
    return wide <= _WIDER * np.quantile(wide[good], 0.15)


def _settled(frame: Frame, sky: Sky, stars: _Stars, psf: Psf, settings: PsfSettings, turn: int) -> _Stars:
    """Fit the stars until none has to go; return those that stay. In the mode "new", only groups with stars of this turn."""
    for _ in range(_ROUNDS if len(stars) else 0):
        held = np.zeros(len(stars), bool)
        if settings.mode == "new":
            group = group_numbers(stars.x, stars.y, settings.link * psf.fwhm)
            held = ~np.isin(group, group[stars.turn == turn])
        _fit(frame, sky, stars, psf, settings, held)
        stays = _real(frame, sky, stars, psf, settings) | held
        stars = stars.those(stays)
        if stays.all() or not len(stars):
            break
    return stars


def _fit(frame: Frame, sky: Sky, stars: _Stars, psf: Psf, settings: PsfSettings, held: NDArray[np.bool_]) -> None:
    """Fit the stars that are not held, in place."""
    free = np.flatnonzero(~held)
    if not free.size:
        return
    members, first, _ = fitted_together(stars.x[free], stars.y[free], settings.link * psf.fwhm)
    above = frame.image - sky.level
    rest = above - _model(frame, sky, stars, psf)
    reach = _reach(sky, stars, psf)
    for _ in range(_SWEEPS):
        fit_groups(
            rest, frame.good, above - rest, frame.variance(sky), frame.slope, free[members], first, stars.x, stars.y,
            stars.flux, psf.shape, psf.nodes, reach, RADIUS * psf.fwhm, ACTIVE * psf.fwhm, BOUND * psf.fwhm,
            _most_pixels(first, psf), stars.converged,
        )  # fmt: skip


def _most_pixels(first: NDArray[np.int64], psf: Psf) -> int:
    return int(np.diff(first).max() * (2 * RADIUS * psf.fwhm + 2) ** 2)


def _errors(
    frame: Frame, sky: Sky, stars: _Stars, psf: Psf, settings: PsfSettings, model: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Errors of x, y and flux, and of the flux of all stars fitted with a star; and whether some of these were left out."""
    members, first, divided = fitted_together(stars.x, stars.y, settings.link * psf.fwhm)
    out, sums = np.full((len(stars), 3), np.nan), np.empty(first.size - 1)
    group_errors(
        model, frame.good, model, frame.variance(sky), frame.slope, members, first, stars.x, stars.y, stars.flux,
        psf.shape, psf.nodes, RADIUS * psf.fwhm, ACTIVE * psf.fwhm, _most_pixels(first, psf), sky.error_at(stars.x, stars.y),
        psf.covariance, out, sums,
    )  # fmt: skip
    whole = np.empty(len(stars))
    whole[members] = np.repeat(sums, np.diff(first))
    return {"x_err": out[:, 0], "y_err": out[:, 1], "flux_err": out[:, 2], "group_flux_err": whole, "divided": divided}


def _rows(frame: Frame, sky: Sky, stars: _Stars, psf: Psf, settings: PsfSettings) -> pd.DataFrame:
    """The catalogue of the stars."""
    model = _model(frame, sky, stars, psf)
    fitted = {name: getattr(stars, name) for name in stars.__dataclass_fields__}
    fitted |= _errors(frame, sky, stars, psf, settings, model)
    return source_rows(frame, sky, model, psf, settings, RADIUS * psf.fwhm, fitted)


def _trust(frame: Frame, sky: Sky, psf: Psf, model: NDArray[np.float64]) -> float:
    """How well the profile is known, over the light of the stars: by what it leaves of those that told it.

    A round profile of stars that are not round leaves a tenth of their light and more at places, which is no star.
    """
    rest, variance = _rest(frame, sky, model), frame.variance(sky) + frame.slope * model
    row, column = np.ogrid[: model.shape[0], : model.shape[1]]
    found = []
    half = FLANK[1] * psf.fwhm
    columns = [psf.stars[name] for name in ("x", "y", "used")] if psf.stars else []
    for x, y, used in zip(*columns, strict=True):
        if not used:
            continue
        here = np.s_[max(0, int(y - half)) : int(y + half) + 2, max(0, int(x - half)) : int(x + half) + 2]
        distance = np.hypot(column[:, here[1]] - x, row[here[0]] - y) / psf.fwhm
        flank = (distance > FLANK[0]) & (distance < FLANK[1]) & np.isfinite(rest[here])
        light = float(np.sum(model[here][flank] ** 2))
        if light > 0:
            found.append(float(np.sum(rest[here][flank] ** 2 - variance[here][flank])) / light)
    misfit = math.sqrt(max(0.0, float(np.median(found)))) if found else 0.0
    return max(TRUST, MISFITS * misfit)


def _real(frame: Frame, sky: Sky, stars: _Stars, psf: Psf, settings: PsfSettings) -> NDArray[np.bool_]:
    """Which stars stand: positive, significant, apart from brighter ones, and not what these leave where they fit badly."""
    model = _model(frame, sky, stars, psf)
    error = _errors(frame, sky, stars, psf, settings, model)["flux_err"]
    ny, nx = model.shape
    row, column = np.rint(stars.y).astype(int), np.rint(stars.x).astype(int)
    here = model[np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)]
    height = stars.flux * psf.peak
    with np.errstate(invalid="ignore"):
        false = ~(stars.flux > FEWEST_SIGMA * settings.thresh * error)
    false |= (row < 0) | (column < 0) | (row >= ny) | (column >= nx)
    false |= height < _trust(frame, sky, psf, model) * (here - height)
    near = (TOO_NEAR * psf.fwhm) ** 2
    order = np.argsort(-stars.flux, kind="stable")
    for place, k in enumerate(order):
        before = order[:place]
        false[k] |= bool(((stars.x[before] - stars.x[k]) ** 2 + (stars.y[before] - stars.y[k]) ** 2 < near).any())
    # Two that stand for one have large errors both: the fainter goes, and the other is looked at again.
    apart = (settings.link * psf.fwhm) ** 2
    gone = np.zeros(len(stars), bool)
    for k in order[::-1]:
        if false[k]:
            gone[k] = not ((stars.x[gone] - stars.x[k]) ** 2 + (stars.y[gone] - stars.y[k]) ** 2 < apart).any()
    return ~gone


def _refined(frame: Frame, sky: Sky, model: NDArray[np.float64]) -> Sky:
    """The sky of what the stars leave."""
    dark = frame.good & (model < DARK * np.sqrt(sky.variance))
    return sky_surface(frame.image - model, dark, sky.level, np.sqrt(sky.variance)) or sky
