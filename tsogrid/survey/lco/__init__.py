"""The LCO microlensing group's aperture pipeline on the grid: a refined WCS and forced photometry of every image.

The names that users of that pipeline know are thin layers over this package; `reduce` is the whole of it.
"""

from tsogrid.survey.lco.analyst import AperturePhotometryAnalyst
from tsogrid.survey.lco.dataset import AperturePhotometryDataset
from tsogrid.survey.lco.forced import run_aperture_photometry
from tsogrid.survey.lco.pipeline import reduce

__all__ = ["AperturePhotometryAnalyst", "AperturePhotometryDataset", "reduce", "run_aperture_photometry"]
