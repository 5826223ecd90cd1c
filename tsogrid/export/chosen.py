"""Which source, aperture and sky go into a file that holds one light curve: those that are named, else the quietest.

What was chosen, and why, is a sentence that stands in the file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.choice import best_cell, every_cell, score_curves
from tsogrid.analysis.select import aperture_number, require_result, sky_number, source_number
from tsogrid.errors import ConfigError


@dataclass(frozen=True)
class Chosen:
    """One source, aperture and sky of a result.

    Parameters
    ----------
    numbers : dict of str to int
        Index along ``source``, ``aperture`` and ``sky``.
    labels : dict of str to str
        Their names.
    reason : str
        Why they are these.
    """

    numbers: dict[str, int]
    labels: dict[str, str]
    reason: str

    def name(self, result: xr.Dataset) -> str:
        """Name the star: as the header does if it is the first target, else as the configuration does."""
        first = self.numbers["source"] == source_number(result)[0]
        return str((result.attrs.get("target") if first else None) or self.labels["source"])

    def plane(self, result: xr.Dataset) -> xr.Dataset:
        """Take what belongs to them out of the result, and load it."""
        return result.isel(self.numbers).compute()


def choose(result: xr.Dataset, source: Any = None, aperture: Any = None, sky: Any = None) -> Chosen:
    """Choose one source, aperture and sky.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source : str or int, optional
        Name or number; the first target if not given.
    aperture : str or float, optional
        Label, or radius of a circle in pixels.
    sky : str or int, optional
        Label or number. Of what is not given, the quietest light curve (`tsogrid.analysis.choice.best`) is taken; where none
        has a scatter, the first.

    Returns
    -------
    Chosen

    Raises
    ------
    ConfigError
        There is no such source, aperture or sky; the message names those that are.
    """
    require_result(result)
    star, said = source_number(result, source)
    apertures = list(range(result.sizes["aperture"])) if aperture is None else [aperture_number(result, aperture)]
    skies = list(range(result.sizes["sky"])) if sky is None else [sky_number(result, sky)]
    numbers = {"source": star, "aperture": apertures[0], "sky": skies[0]}
    if len(apertures) * len(skies) > 1:
        narrowed = result.isel(aperture=apertures, sky=skies)
        try:
            which, over, why = best_cell(score_curves(every_cell(narrowed, star)))
            numbers |= {"aperture": apertures[which], "sky": skies[over]}
        except ConfigError:  # nothing that scatters: too few frames, or no reference star that can be used
            why = "the first aperture and sky"
    else:
        given = [name for name, value in (("aperture", aperture), ("sky", sky)) if value is not None]
        why = f"{' and '.join(given)} given" if given else "the only aperture and sky"
    labels = {dim: str(np.asarray(result[dim])[number]) for dim, number in numbers.items()}
    return Chosen(numbers, labels, f"{said}; {why}")
