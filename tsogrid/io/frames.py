"""`open_frames`: whatever holds frames becomes one Dataset of lazily indexed frames.

The kind of the source decides once which way it goes: a Dataset and arrays are completed, files are scanned (headers
only) by the reader that knows them and assembled in the order of time.
"""

import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import xarray as xr
from astropy.utils.exceptions import AstropyWarning
from pydantic import ValidationError

from tsogrid.config import InputConfig
from tsogrid.config_file import explain
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.io.arrays import from_arrays, from_dataset, is_array
from tsogrid.io.files import resolve
from tsogrid.io.fits import FitsFile, scan
from tsogrid.io.ground import GroundReader
from tsogrid.io.jwst import JWSTReader, is_jwst
from tsogrid.io.remote_names import base_name, is_remote
from tsogrid.io.scanning import scan_all, without_secrets
from tsogrid.io.series import FileFrames, assemble
from tsogrid.io.target_pixels import TargetPixelReader, is_target_pixels

Reader = JWSTReader | TargetPixelReader | GroundReader
READERS: dict[str, type[JWSTReader] | type[TargetPixelReader] | type[GroundReader]] = {
    "jwst": JWSTReader,
    "tpf": TargetPixelReader,
    "fits": GroundReader,
}


_CLAIMS = {"jwst": is_jwst, "tpf": is_target_pixels}


def open_frames(source: Any, **overrides: Any) -> xr.Dataset:
    """Open frames without reading their pixels.

    Parameters
    ----------
    source : InputConfig, path, array, xarray.Dataset, or list
        The ``input`` section of a configuration; a file, a folder, a glob pattern or a list of these, URLs (``s3://``,
        ``gs://``, ``https://``) among them; a 2-D (y, x) or 3-D
        (time, y, x) numpy or dask array or a list of these; a Dataset with ``data[, error, dq]``.
    **overrides
        Fields of `InputConfig`, for example ``error="err"``, ``exclude=["*dark*"]``, ``time_stamp="mid"``,
        ``storage={"anon": True}``.

    Returns
    -------
    xarray.Dataset
        Dimensions (time, y, x). ``data`` in the units of the file (float32, or float64 where float32 does not hold
        the stored values), ``error`` (1 sigma) and ``dq`` (uint32) where they are known. The index ``time`` is the
        middle of the exposure in days, BJD_TDB or else JD_UTC, or the frame number; ``mjd_utc``, ``jd_utc``,
        ``bjd_tdb``, ``integration`` and ``file`` stand beside it, and ``wcs`` (FITS cards) where files differ in it. The
        attributes tell the camera, and name, size and header hash of the files.

    Raises
    ------
    InputError
        Files that are missing, unreadable, no FITS, truncated, of the wrong kind, or that do not belong together.
    ConfigError
        An override that `InputConfig` does not know.

    Warns
    -----
    TsogridWarning
        Times that cannot be the index, segments that are missing, spectra, exposure times that are unknown.
    """
    config = source if isinstance(source, InputConfig) else InputConfig()
    if overrides:
        config = _configure({**config.model_dump(), **overrides})
    if isinstance(source, InputConfig):
        return _from_files(config.files, config)
    if isinstance(source, xr.Dataset):
        return from_dataset(source)
    if is_array(source):
        return from_arrays([source], config)
    if isinstance(source, str | os.PathLike):
        return _from_files([os.fspath(source)], config)
    if isinstance(source, Sequence):
        arrays = [is_array(item) for item in source]
        if source and all(arrays):
            return from_arrays(source, config)
        if not any(arrays) and all(isinstance(item, str | os.PathLike) for item in source):
            return _from_files([os.fspath(item) for item in source], config)
        kinds = ", ".join(sorted({type(item).__name__ for item in source}))
        raise InputError(f"expected a list of paths or a list of arrays, found a list of {kinds}")
    raise InputError(f"expected paths, arrays, a Dataset or an input configuration, found {type(source).__name__}")


def _configure(content: dict[str, Any]) -> InputConfig:
    try:
        return InputConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, "open_frames", InputConfig)) from None


def _kind(file: FitsFile, config: InputConfig) -> str:
    """Choose the reader of a file; what says how single frames are read and timed is not meant for whole exposures."""
    asked = [key for key in ("plane", "header_extension", "time_keyword") if getattr(config, key) is not None]
    asked += ["timing"] if config.timing != "auto" else []
    if config.reader in ("jwst", "tpf") and asked:
        raise ConfigError(
            f"input.{asked[0]} says how single frames are read, and reader: {config.reader} reads exposures with "
            "their own times. "
            f"Expected one of them: leave out {asked[0]}, or use reader: fits."
        )
    if config.reader != "auto":
        return config.reader
    if asked:
        return "fits"
    return next((name for name, claims in _CLAIMS.items() if claims(file)), "fits")


def _from_files(names: list[str], config: InputConfig) -> xr.Dataset:
    paths = resolve(names, config.exclude, config.storage)
    with warnings.catch_warnings(), without_secrets(paths):
        # Headers of cameras seldom keep to the standard in full; what cannot be read counts as missing.
        warnings.simplefilter("ignore", AstropyWarning)
        reader: Reader | None = None
        first: FitsFile | None = None
        for file in scan_all(paths, config.storage):
            kind = _kind(file, config)
            if reader is None:
                reader, first = READERS[kind](config), file
            elif reader.name != kind:
                raise InputError(
                    f"{file.path}: expected a file of the kind {reader.name} as {base_name(paths[0])}, found one of the "
                    f"kind {kind}: measure them apart"
                )
            reader.add(file)
            reader.parts[-1].version = file.version
        assert reader is not None
        assert first is not None
        parts, notes = reader.finish()
        frames, more = assemble(parts, config, partial(_described, reader, first), reader.name)
    for note in (*notes, *_fetched_whole(parts), *more):
        warnings.warn(note, TsogridWarning, stacklevel=3)
    return frames


def _fetched_whole(parts: list[FileFrames]) -> list[str]:
    packed = [part for part in parts if is_remote(part.path) and part.images["SCI"].pixels.is_packed]
    if not packed:
        return []
    return [
        f"{len(packed)} of {len(parts)} files are remote and packed, {packed[0].name} is one: they have no byte ranges, and "
        "each is fetched whole whatever is wanted of it; copy them to this machine if they are large"
    ]


def _described(reader: Reader, first: FitsFile, path: str) -> dict[str, Any]:
    """Give the attributes that the file of the first frame tells; it is the first that was scanned, as a rule."""
    return reader.describe(first if path == first.path else scan(path, first.storage))
