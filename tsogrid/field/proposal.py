"""Which of the stars on a frame are good for comparison, each with the reason, and which of them become sources.

A comparison star is well above the noise, not saturated, round, away from the border, and alone: its neighbours have little
of its flux. Whether it is also constant only a series can tell (`tsogrid.survey`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from tsogrid.config import Detection, Source
from tsogrid.errors import ConfigError, InputError
from tsogrid.field.detection import Stars, find_stars
from tsogrid.field.wcs import celestial_wcs, pixels_to_sky, sky_to_pixels

FIRST_FRAMES = 3  # of these the one with most clear stars is taken: more frames, added later, must not change the choice
ALONE = 4.0  # FWHM in which a star should have no neighbour
BORDER = 2.0  # FWHM
LONG, WIDE = 1.6, 1.5  # axis ratio, and FWHM over that of the others, of a star that is blended
SIGNAL = 20.0  # standard deviations of the sky's noise that a comparison star's flux should have
MOST_REFERENCES = 5  # that are guessed for a target
FAINTEST, BRIGHTEST = 0.15, 10.0  # of the target's flux: fainter stars add more noise than they take away
SAME = 1.0  # FWHM within which a found star is one that is listed already; at least LEAST_SAME pixels
LEAST_SAME = 3.0


@dataclass(frozen=True)
class Found:
    """The stars of a reference frame.

    Parameters
    ----------
    stars : Stars
        The brightest first, artefacts last.
    reasons : tuple of str
        Why a star is no good for comparison; empty for those that are.
    neighbour : ndarray, shape (n,)
        Distance to the nearest star that disturbs it, in pixels; inf if there is none.
    frame : int
        Which frame of the series.
    wcs : str
        FITS cards of its own world coordinates; empty where frames have none of their own.
    """

    stars: Stars
    reasons: tuple[str, ...]
    neighbour: np.ndarray
    frame: int
    wcs: str


def find_on_frame(frames: xr.Dataset, settings: Detection) -> Found:
    """Find the stars of a series on its reference frame, and judge them.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`; up to three frames are read.
    settings : Detection
        Which frame, and what counts as a star.

    Returns
    -------
    Found

    Raises
    ------
    ConfigError
        There is no such frame.
    """
    numbers = _frame_numbers(frames, settings.reference_frame)
    best: tuple[int, Stars] | None = None
    for number in numbers:
        image = frames["data"].isel(time=number).to_numpy()
        fwhm = None if settings.fwhm == "auto" else float(settings.fwhm)
        stars = find_stars(image, fwhm, settings.threshold, settings.saturation)
        if best is None or _clear(stars) > _clear(best[1]):
            best = number, stars
    assert best is not None
    number, stars = best
    reasons, neighbour = judged(stars, (frames.sizes["y"], frames.sizes["x"]), settings)
    wcs = str(frames["wcs"].to_numpy()[number]) if "wcs" in frames.coords else ""
    return Found(stars, tuple(reasons), neighbour, number, wcs if celestial_wcs(wcs) is not None else "")


def _clear(stars: Stars) -> tuple[int, float]:
    """How well the stars of a frame are seen: how many stand well above the noise, and how far."""
    high = stars.snr[~stars.artefact & (stars.snr > SIGNAL)]
    return high.size, float(np.log(high).sum())


def _frame_numbers(frames: xr.Dataset, asked: int | str) -> list[int]:
    n = frames.sizes["time"]
    if asked == "auto":
        return list(range(min(FIRST_FRAMES, n)))
    if isinstance(asked, int) or asked.isdigit():
        if int(asked) >= n:
            raise ConfigError(f"detect.reference_frame: expected 0 … {n - 1} for {n} frames, found {asked}.")
        return [int(asked)]
    files = [str(name) for name in frames["file"].to_numpy()] if "file" in frames.coords else []
    if asked not in files:
        some = ", ".join(files[:3]) + (" …" if len(files) > 3 else "")
        raise ConfigError(f"detect.reference_frame: expected a number or a file of the series ({some}), found {asked!r}.")
    return [files.index(asked)]


def judged(stars: Stars, shape: tuple[int, int], settings: Detection) -> tuple[list[str], np.ndarray]:
    """Say of each star why it is no good for comparison.

    Parameters
    ----------
    stars : Stars
        From `tsogrid.field.detection.find_stars`.
    shape : (int, int)
        Rows and columns of the frame.
    settings : Detection
        Border, separation and flux of neighbours.

    Returns
    -------
    reasons : list of str
        Empty for a good star.
    neighbour : ndarray, shape (n,)
        Distance to the nearest disturbing star, pixels; inf if there is none within the separation.
    """
    ny, nx = shape
    width = stars.width
    border = BORDER * width if settings.border is None else settings.border
    separation = ALONE * width if settings.separation is None else settings.separation
    neighbour, share = _neighbours(stars, separation, settings.neighbour)
    inside = (stars.x >= border) & (stars.x <= nx - 1 - border) & (stars.y >= border) & (stars.y <= ny - 1 - border)
    reasons = []
    for i in range(len(stars.x)):
        said = []
        if stars.artefact[i]:
            said.append("no star: a hot pixel, a cosmic ray or a trail")
        else:
            if stars.saturated[i]:
                said.append("saturated")
            if not inside[i]:
                said.append(f"nearer than {border:.3g} pixels to the border")
            if math.isfinite(neighbour[i]):
                said.append(f"a star of {share[i]:.2g} times its flux at {neighbour[i]:.1f} pixels")
            if not stars.saturated[i]:
                if not stars.snr[i] >= SIGNAL:
                    said.append(f"faint: {stars.snr[i]:.3g} sigma")
                if not stars.elongation[i] < LONG:
                    said.append(f"not round: axis ratio {stars.elongation[i]:.2f}")
                elif not stars.fwhm[i] < WIDE * width:
                    said.append(f"wide: FWHM {stars.fwhm[i]:.1f}, of the others {width:.1f}")
        reasons.append("; ".join(said))
    return reasons, neighbour


def _neighbours(stars: Stars, separation: float, part: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance and flux (in a star's own) of the nearest star with more than a part of its flux."""
    count = len(stars.x)
    distance, share = np.full(count, np.inf), np.zeros(count)
    real = np.flatnonzero(~stars.artefact)
    if real.size < 2:
        return distance, share
    places = np.stack([stars.x, stars.y], axis=-1)[real]
    pairs = cKDTree(places).query_pairs(separation, output_type="ndarray")
    apart = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    for own, other in ((0, 1), (1, 0)):
        star, near = real[pairs[:, own]], real[pairs[:, other]]
        for index in np.flatnonzero((stars.flux[near] > part * stars.flux[star]) | stars.saturated[near]):
            if apart[index] < distance[star[index]]:
                distance[star[index]], share[star[index]] = apart[index], stars.flux[near[index]] / stars.flux[star[index]]
    return distance, share


def detected_sources(frames: xr.Dataset, settings: Detection, listed: Sequence[Source] = ()) -> list[Source]:
    """Make sources of the stars that are found on the reference frame.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`.
    settings : Detection
        Which stars are kept.
    listed : sequence of Source
        Sources that are there already: stars at their places are left out.

    Returns
    -------
    list of Source
        The brightest first. Where frames have world coordinates of their own with ra and dec, else with x and y; rounded to
        0.001 pixel, so that another machine makes the same list.

    Raises
    ------
    ConfigError, InputError
        There is no such frame, or no star that can be kept.
    """
    found = find_on_frame(frames, settings)
    stars = found.stars
    kept = np.array([not reason for reason in found.reasons], bool) if settings.only_good else ~stars.artefact
    places = _places(listed, found.wcs, str(frames.attrs.get("wcs", "")))
    reach = max(SAME * stars.width, LEAST_SAME)
    distance = np.hypot(stars.x[:, None] - places[:, 0], stars.y[:, None] - places[:, 1])
    kept &= ~(distance < reach).any(axis=1)
    if settings.faintest > 0 and len(places) and stars.x.size:
        own = int(np.argmin(distance[:, 0]))
        if not distance[own, 0] < reach:
            raise InputError(
                f"detect.faintest: expected a star at {listed[0].name!r}, the first source, found none within {reach:.1f} "
                f"pixels on frame {found.frame}. Leave it out, or mend the position."
            )
        kept &= stars.flux >= settings.faintest * stars.flux[own]
    which = np.flatnonzero(kept)[: settings.brightest]
    if not which.size:
        what = "a good comparison star" if settings.only_good else "a star"
        raise InputError(
            f"sources: detect: expected {what} on frame {found.frame}, found none among {len(stars.x)} candidates. "
            "`tsogrid detect` says why; try another reference_frame, a lower threshold, or keep: all."
        )
    return as_sources(found, which, settings, {source.name for source in listed})


def as_sources(found: Found, which: np.ndarray, settings: Detection, taken: set[str]) -> list[Source]:
    """Name some stars and give their positions as sources; names that are taken are passed over."""
    stem = settings.name or ("ref" if settings.role == "reference" else "star")
    names = (name for number in range(1, 10**9) if (name := f"{stem}{number}") not in taken)
    x, y = found.stars.x[which], found.stars.y[which]
    if found.wcs:
        sky = pixels_to_sky(found.wcs, np.stack([x, y], axis=-1))
        pairs: list[dict[str, Any]] = [{"ra": round(float(ra), 8), "dec": round(float(dec), 8)} for ra, dec in sky]
    else:
        pairs = [{"x": round(float(px), 3), "y": round(float(py), 3)} for px, py in zip(x, y, strict=True)]
    return [Source(name=next(names), role=settings.role, **pair) for pair in pairs]


def nearest(stars: Stars, x: float, y: float, within: float) -> int | None:
    """Find the star nearest to a place, at most so many pixels away; its number, or None."""
    distance = np.where(stars.artefact, np.inf, np.hypot(stars.x - x, stars.y - y))
    return int(np.argmin(distance)) if distance.size and distance.min() <= within else None


def like_target(stars: Stars, reasons: Sequence[str], target: int) -> list[int]:
    """Choose good stars whose flux is like the target's, the nearest in flux first; their numbers."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = stars.flux / stars.flux[target]
    like = [i for i, why in enumerate(reasons) if not why and i != target and FAINTEST < ratio[i] < BRIGHTEST]
    return sorted(like, key=lambda i: abs(math.log(ratio[i])))[:MOST_REFERENCES]


def _places(listed: Sequence[Source], own_wcs: str, common_wcs: str) -> np.ndarray:
    """Pixels of sources on the reference frame; shape (n, 2), NaN where they are not known."""
    places = np.full((len(listed), 2), np.nan)
    for index, source in enumerate(listed):
        if source.x is not None and source.y is not None:
            places[index] = source.x, source.y
        elif own_wcs or common_wcs:
            pixels, _ = sky_to_pixels([own_wcs or common_wcs], np.array([[source.ra, source.dec]], float))
            places[index] = pixels[0, 0]
    return places
