"""The photometry of nights of the Nickel telescope, as pipnick's users know it."""

from tsogrid.survey.nickel.logs import adjust_global_logger
from tsogrid.survey.nickel.pipeline import photometry_all

__all__ = ["adjust_global_logger", "photometry_all"]
