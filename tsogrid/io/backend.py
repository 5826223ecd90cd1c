"""The reader as an xarray engine: ``xr.open_dataset("x_calints.fits", engine="tsogrid")``."""

import os
import re
from collections.abc import Iterable
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from tsogrid.io.frames import open_frames

_OURS = re.compile(r"_(calints|crfints|rateints)\.fits$", re.IGNORECASE)


class TsogridBackend(BackendEntrypoint):
    """Opens FITS frames; it claims by itself only the names of time-series products of the JWST."""

    description = "Open time-series image FITS files with tsogrid"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "error", "extension", "reader", "storage", "time_stamp")

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        error: str = "auto",
        extension: int | str | None = None,
        reader: str = "auto",
        storage: dict[str, Any] | None = None,
        time_stamp: str = "auto",
    ) -> xr.Dataset:
        """Open a file, a folder, a pattern or a list of files; see `tsogrid.open_frames`."""
        reading = {"error": error, "extension": extension, "reader": reader, "time_stamp": time_stamp}
        frames = open_frames(filename_or_obj, **reading, storage=storage or {})
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or [])
        return frames.drop_vars([name for name in dropped if name in frames.variables])

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Claim ``*_calints.fits``, ``*_crfints.fits`` and ``*_rateints.fits``."""
        return isinstance(filename_or_obj, str | os.PathLike) and bool(_OURS.search(os.fspath(filename_or_obj)))
