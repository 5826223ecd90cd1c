"""The catalogue of one frame: its stars by their common profile, with sky positions and magnitudes."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tsogrid.flags import ImageFlag
from tsogrid.survey.catalogue import Catalogue
from tsogrid.survey.nickel.image import Image, read_image
from tsogrid.survey.nickel.plots import plot_groups, plot_sources
from tsogrid.survey.nickel.solutions import solution_of, to_sky
from tsogrid.survey.psf_frame import PsfSettings
from tsogrid.survey.psf_photometry import photometry
from tsogrid.survey.source_table import SourceTable, consolidate

MAGNITUDE = 2.5 / np.log(10.0)


@dataclass(frozen=True)
class FrameTask:
    """Makes the catalogue of a frame, and the plots that are asked for.

    Parameters
    ----------
    settings : PsfSettings
        Threshold, kind of profile, mode.
    group : bool
        One row a group.
    solutions : dict
        Path of a frame → files that may hold its astrometric solution.
    sources, groups : dict
        Path of a frame → where its plot is saved; of no frame where none is asked for.
    root : str
        Of the night: solutions are named from there.
    """

    settings: PsfSettings
    group: bool = False
    solutions: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    root: str = ""

    def __call__(self, path: str) -> Catalogue:
        """Measure the frame in the file at ``path``."""
        image = read_image(path)
        table = photometry(image.data, image.error, image.mask, replace(self.settings, gain=image.gain))
        catalogue = self._catalogue(path, image, table)
        if path in self.sources:
            plot_sources(Path(self.sources[path]), path, image.data, catalogue)
        if path in self.groups:
            plot_groups(Path(self.groups[path]), path, image.data, table)
        return catalogue

    def _catalogue(self, path: str, image: Image, table: SourceTable) -> Catalogue:
        rows = consolidate(table) if self.group else table.rows
        columns = {str(name): rows[name].to_numpy() for name in rows.columns}
        cards, where = solution_of([*self.solutions.get(path, []), path])
        columns["ra"], columns["dec"] = to_sky(cards, columns["x_fit"], columns["y_fit"])
        columns["mag"], columns["mag_err"] = magnitudes(columns["flux_psf"], columns["flux_err"], image.facts["exptime"])
        flags, notes = ImageFlag(0), []
        for missing, flag, note in (
            (not len(rows), ImageFlag.NO_STARS, "no stars"),
            (table.psf is None or table.psf.assumed, ImageFlag.PSF_FAILED, "no star tells the profile: it is assumed"),
            (not cards, ImageFlag.NO_WCS, "no WCS: ra and dec are unknown"),
            (not np.isfinite(image.facts["time"]), ImageFlag.NO_TIME, "no time in the header"),
        ):
            if missing:
                flags |= flag
                notes.append(note)
        if where and where != path:
            where = Path(where).relative_to(self.root).as_posix() if Path(where).is_relative_to(self.root) else where
        facts = image.facts | {
            "fwhm": table.fwhm,
            "background": table.background,
            "noise": table.noise,
            "wcs": "" if not cards else "header" if where == path else where,
        }
        return Catalogue(columns, facts, int(flags), "; ".join(notes))


def magnitudes(flux: np.ndarray, error: np.ndarray, exposure: float | str) -> tuple[np.ndarray, np.ndarray]:
    """Give instrumental magnitudes −2.5 log₁₀(flux / exposure), without a zero point, and their errors 1.0857 σ/F.

    Parameters
    ----------
    flux, error : (n,) array
        And its standard deviation.
    exposure : float
        Seconds; NaN gives NaN.

    Returns
    -------
    (n,) arrays
        NaN where the flux is not positive.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = np.where(flux > 0, flux, np.nan)
        return -MAGNITUDE * np.log(positive / float(exposure)), MAGNITUDE * error / positive
