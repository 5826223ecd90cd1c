"""Every image on its own: the stars of a field as a table, catalogues of many images, and two pipelines over them."""

from tsogrid.survey.catalogue import Catalogue, catalogue_of, open_catalogues, to_dataframe
from tsogrid.survey.images import measure_images
from tsogrid.survey.star_table import detect

__all__ = ["Catalogue", "catalogue_of", "detect", "measure_images", "open_catalogues", "to_dataframe"]
