"""Every image on its own: the stars of a field as a table, catalogues of many images, and two pipelines over them."""

from tsogrid.survey.star_table import detect

__all__ = ["detect"]
