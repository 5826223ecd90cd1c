"""Tile-compressed images (RICE, GZIP, HCOMPRESS, PLIO: fpack's ``.fz``): only the tiles that a window touches are unpacked.

astropy knows the algorithms and the dithered quantisation of floating-point images; here a box of one image becomes values.
"""

import io
from typing import Any

import numpy as np

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.remote_file import RemoteFile
from tsogrid.io.remote_names import is_remote, shown


class TileReader:
    """Reads boxes of one tile-compressed image.

    Parameters
    ----------
    path : str
        The file.
    extension : int
        Where the image is.
    first : int
        The first plane that is meant, of a cube.
    storage : Storage, optional
        How a remote file is reached: it is fetched whole.
    version : int
        What a remote file was when its headers were read.
    """

    def __init__(self, path: str, extension: int, first: int, storage: Storage | None = None, version: int = 0) -> None:
        self.path = path
        self.extension = extension
        self.first = first
        self.storage = storage or Storage()
        self.version = version

    def read(self, out: np.ndarray, frame: int, top: int, left: int) -> None:
        """Fill `out` (frames, rows, columns) from the box that begins at (frame, top, left).

        Raises
        ------
        InputError
            The file has gone, or is damaged.
        """
        from astropy.io import fits  # 10 MB, seldom needed

        count, height, width = out.shape
        rows, columns = slice(top, top + height), slice(left, left + width)
        source = self._whole() if is_remote(self.path) else self.path
        try:
            with fits.open(source, memmap=False) as units:
                image: Any = units[self.extension]
                blank = image.header.get("BLANK", image.header.get("ZBLANK"))
                whole = len(image.shape) == 3
                for number in range(count):
                    plane = self.first + frame + number
                    values = image.section[(plane, rows, columns) if whole else (rows, columns)]
                    np.copyto(out[number], values, casting="unsafe")
                    if blank is not None and values.dtype.kind in "iu" and out.dtype.kind == "f":
                        out[number][np.asarray(values) == blank] = np.nan
        except (OSError, ValueError, IndexError, TypeError, RuntimeError, KeyError) as error:
            raise InputError(
                f"{shown(self.path)}: extension {self.extension} cannot be unpacked ({error}); copy or download the file "
                "again"
            ) from None

    def _whole(self) -> io.BytesIO:
        with RemoteFile(self.path, self.storage, self.version) as file:
            return io.BytesIO(file.read(0, file.size))
