"""A result as a file for other programs: a module a format, `export` over all of them."""

from tsogrid.export.files import check_folder
from tsogrid.export.forms import FORMATS, FORMS, SUFFIXES, export, write_table
from tsogrid.export.light_curve_fits import to_lightkurve
from tsogrid.export.tables import plain_table

__all__ = ["FORMATS", "FORMS", "SUFFIXES", "check_folder", "export", "plain_table", "to_lightkurve", "write_table"]
