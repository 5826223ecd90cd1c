"""A catalogue: the stars of one image, with the facts of the image; and the catalogues of many images as one Dataset.

Images hold different numbers of stars. In the Dataset they follow each other along ``row``, and ``row_size(image)`` says how
many belong to each image: the contiguous ragged array of the CF conventions (§ 9.3.3), in which nothing is padded.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.errors import InputError, StoreError

ATTRIBUTE = "survey"  # of the root: it makes a zarr group a store of catalogues
OF_IMAGES = ("path", "row_size", "image_flags", "message")  # variables along image that every store has
Fact = int | float | str


@dataclass
class Catalogue:
    """The stars of one image.

    Parameters
    ----------
    columns : dict of ndarray
        All of shape (rows,), numbers or text; the same names and types for every image.
    image : dict
        Facts of the image, numbers or text: time, filter, exptime …; NaN or "" where unknown.
    flags : int
        Bits of `tsogrid.flags.ImageFlag`.
    message : str
        What a person should know; empty if all is well.
    """

    columns: dict[str, np.ndarray]
    image: dict[str, Fact] = field(default_factory=dict)
    flags: int = 0
    message: str = ""

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


class Task(Protocol):
    """What makes a catalogue of an image: something that can be pickled, such as a frozen dataclass with settings."""

    def __call__(self, path: str) -> Catalogue:
        """Measure the image in the file at ``path``."""


def checked(catalogue: Catalogue) -> Catalogue:
    """Bring a catalogue into the form in which it is kept.

    Parameters
    ----------
    catalogue : Catalogue
        As a task made it.

    Returns
    -------
    Catalogue
        Columns contiguous in memory, text of fixed width; facts as float or str.

    Raises
    ------
    ValueError
        Columns of unequal length or more than one dimension, or a name that is used twice.
    """
    columns = {}
    for name, values in catalogue.columns.items():
        column = np.ascontiguousarray(values)
        if column.dtype.kind not in "biuf":
            column = column.astype(str)
        if column.ndim != 1 or len(column) != len(catalogue):
            raise ValueError(f"column {name}: expected shape ({len(catalogue)},), found {np.shape(values)}")
        columns[name] = column
    twice = ({*columns} & {*catalogue.image}) | ({*columns, *catalogue.image} & {*OF_IMAGES})
    if twice:
        raise ValueError(f"expected each name once, found {', '.join(sorted(twice))} twice")
    facts: dict[str, Fact] = {
        name: str(value) if isinstance(value, str) else float(value) for name, value in catalogue.image.items()
    }
    return Catalogue(columns, facts, int(catalogue.flags), str(catalogue.message))


def open_catalogues(store: str | Path) -> xr.Dataset:
    """Open a store of catalogues.

    Parameters
    ----------
    store : path-like
        Made by `tsogrid.survey.images.measure_images`.

    Returns
    -------
    Dataset
        Dask-backed; dims ``image`` and ``row``. Along image: ``path`` (relative to the store's folder), ``row_size``,
        ``image_flags``, ``message`` and the facts; along row: the columns.

    Raises
    ------
    StoreError
        There is no such store.
    """
    path = Path(store)
    attributes_of(path)
    return xr.open_zarr(path, consolidated=True)


def attributes_of(path: Path) -> dict[str, Any]:
    """Read what a store of catalogues says of itself.

    Raises
    ------
    StoreError
        There is no such store.
    """
    try:
        content = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        return dict(json.loads(content["attributes"][ATTRIBUTE]))
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(
            f"{path}: expected a store of catalogues, found {'something else' if path.exists() else 'nothing'}."
        ) from None


def row_bounds(catalogues: xr.Dataset) -> np.ndarray:
    """Give the first row of every image, and the end of the last: shape (images + 1,)."""
    sizes = catalogues["row_size"].to_numpy()
    return np.concatenate([[0], np.cumsum(sizes)])


def catalogue_of(catalogues: xr.Dataset, image: int | str) -> Catalogue:
    """Give the catalogue of one image.

    Parameters
    ----------
    catalogues : Dataset
        From `open_catalogues`.
    image : int or str
        Its number, or its path or the end of it, such as the base name.

    Returns
    -------
    Catalogue

    Raises
    ------
    InputError
        No image, or more than one, has this name.
    """
    number = image if isinstance(image, int) else _number_of(catalogues, image)
    bounds = row_bounds(catalogues)
    rows = slice(int(bounds[number]), int(bounds[number] + catalogues["row_size"].to_numpy()[number]))
    along_row = {str(name): each for name, each in catalogues.data_vars.items() if each.dims == ("row",)}
    facts = {
        str(name): each.isel(image=number).to_numpy().item()
        for name, each in catalogues.data_vars.items()
        if each.dims == ("image",) and name not in OF_IMAGES
    }
    flags, message = (catalogues[name].isel(image=number).to_numpy().item() for name in ("image_flags", "message"))
    columns = {name: _plain(each.isel(row=rows).to_numpy()) for name, each in along_row.items()}
    return Catalogue(columns, facts, int(flags), str(message))


def _number_of(catalogues: xr.Dataset, name: str) -> int:
    paths = [str(path) for path in catalogues["path"].to_numpy()]
    found = [number for number, path in enumerate(paths) if path == name or path.endswith(f"/{name}")]
    if len(found) != 1:
        raise InputError(f"{name}: expected the path of one of {len(paths)} images, found {len(found)} that fit.")
    return found[0]


def _plain(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "biuf" else np.array(values.tolist(), dtype=str)


def to_dataframe(catalogues: xr.Dataset, facts: bool = True) -> pd.DataFrame:
    """Give all catalogues as one table.

    Parameters
    ----------
    catalogues : Dataset
        From `open_catalogues`.
    facts : bool
        Join the facts of the image to each row, beside its number and path.

    Returns
    -------
    DataFrame
        One row a star, images in order: ``image`` (its number), ``path``, the facts, ``image_flags``, the columns. An image
        without stars has no row.
    """
    sizes = catalogues["row_size"].to_numpy()
    content: dict[str, Any] = {"image": np.repeat(np.arange(len(sizes)), sizes)}
    along_image = [str(name) for name, each in catalogues.data_vars.items() if each.dims == ("image",)]
    for name in sorted(along_image, key=lambda name: name != "path"):
        if name == "path" or (facts and name not in ("row_size", "message")):
            content[name] = np.repeat(_texts(catalogues[name].to_numpy()), sizes)
    content |= {str(key): _texts(each.to_numpy()) for key, each in catalogues.data_vars.items() if each.dims == ("row",)}
    return pd.DataFrame(content)


def _texts(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "biuf" else values.astype(object)
