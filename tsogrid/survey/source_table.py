"""The catalogue of one image: a row a source, and one row a group on request."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tsogrid.survey.psf_stars import Psf

COLUMNS = (
    "group_id", "group_size", "flags", "x_fit", "y_fit", "flux_psf", "flux_aper", "ratio_flux", "local_bkg", "x_err",
    "y_err", "flux_err", "id", "iter_detected", "npixfit", "qfit", "cfit", "flux_aper_err", "group_flux_err",
)  # fmt: skip
WHOLE = ("group_id", "group_size", "flags", "id", "iter_detected", "npixfit")
_AVERAGED = ("x_fit", "y_fit", "local_bkg", "x_err", "y_err", "qfit", "cfit")


@dataclass(frozen=True)
class SourceTable:
    """Sources of one image.

    Parameters
    ----------
    rows : DataFrame
        One row a source, group after group: ``group_id``, ``group_size``; ``flags`` (`tsogrid.flags.PsfFlag`); ``x_fit``,
        ``y_fit`` (0-based pixels), ``flux_psf`` with ``x_err``, ``y_err``, ``flux_err``; ``flux_aper`` with
        ``flux_aper_err``; ``ratio_flux`` = flux_psf / flux_aper; ``local_bkg`` (a pixel's sky under the source); ``id``
        (from 1, the order of detection); ``iter_detected`` (from 1); ``npixfit`` (good pixels fitted), ``qfit`` (sum of the
        sizes of the residuals over the flux), ``cfit`` (residual of the central pixel over the flux); ``group_flux_err``
        (of the sum of the fluxes of the group). Fluxes are in the unit of the image.
    psf : Psf or None
        Profile of the stars, with those that told it; None where the image has no good pixel.
    initial : DataFrame
        The sources first found: ``x``, ``y``, ``flux``, ``signal``.
    background, noise : float
        Median of the sky, and of the standard deviation of a pixel.
    """

    rows: pd.DataFrame
    psf: Psf | None = None
    initial: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["x", "y", "flux", "signal"], dtype=float))
    background: float = np.nan
    noise: float = np.nan

    @property
    def fwhm(self) -> float:
        """Width of the stars in pixels, NaN where unknown."""
        return self.psf.fwhm if self.psf is not None else np.nan


def empty_rows() -> pd.DataFrame:
    """Make a table of no sources."""
    return pd.DataFrame({name: np.zeros(0, np.int64 if name in WHOLE else np.float64) for name in COLUMNS})


def consolidate(table: SourceTable) -> pd.DataFrame:
    """One row a group.

    Parameters
    ----------
    table : SourceTable
        Of an image.

    Returns
    -------
    DataFrame
        The columns of ``table.rows``: ``flux_psf`` is the sum, ``flux_err`` its error with the covariances of the group;
        ``flux_aper`` and its error are those of the brightest source (its neighbours are within the aperture, or nearly);
        positions, their errors, ``local_bkg``, ``qfit`` and ``cfit`` are means weighted by |flux|; ``flags`` are joined;
        ``id`` is that of the brightest, ``iter_detected`` the first, ``npixfit`` the sum.
    """
    rows = table.rows
    if not len(rows):
        return rows.copy()
    number = rows["group_id"].to_numpy()
    start = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    flux = rows["flux_psf"].to_numpy()
    weight = np.nan_to_num(np.abs(flux))
    whole = np.add.reduceat(weight, start)
    brightest = np.array(
        [first + int(np.argmax(part)) for first, part in zip(start, np.split(weight, start[1:]), strict=True)]
    )
    out = rows.iloc[brightest].copy().reset_index(drop=True)
    for name in _AVERAGED:
        with np.errstate(invalid="ignore", divide="ignore"):
            out[name] = np.add.reduceat(weight * rows[name].to_numpy(), start) / whole
    out["flux_psf"] = np.add.reduceat(flux, start)
    out["flux_err"] = rows["group_flux_err"].to_numpy()[start]
    out["flags"] = np.bitwise_or.reduceat(rows["flags"].to_numpy(), start)
    out["iter_detected"] = np.minimum.reduceat(rows["iter_detected"].to_numpy(), start)
    out["npixfit"] = np.add.reduceat(rows["npixfit"].to_numpy(), start)
    out["ratio_flux"] = out["flux_psf"] / out["flux_aper"]
    return out
