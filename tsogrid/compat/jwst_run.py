"""The pipeline's step in one call: segments in, its table out, with or without a store in between."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.table import QTable

from tsogrid.compat.jwst import ToSky, jwst_config, jwst_table, plain_gain
from tsogrid.config import Config
from tsogrid.engine.graph import measure
from tsogrid.engine.run import Progress, run
from tsogrid.errors import InputError, TsogridWarning
from tsogrid.flags import SourceFlag
from tsogrid.io.files import resolve
from tsogrid.io.frames import open_frames
from tsogrid.io.remote_names import is_remote, shown

LISTED = 5  # integrations that a warning names


def tso_photometry(
    files: Sequence[str | Path],
    *,
    store: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> QTable:
    """Measure the segments of an exposure as the pipeline's ``tso_photometry`` step does.

    Parameters
    ----------
    files : sequence of path-like
        Segments, in any order; folders and patterns too.
    store : path-like, optional
        Keep the result there, and go on with it when it is there; without it all happens in memory.
    progress : Progress, optional
        Who is told how far a run with a store is.
    **options
        Those of `tsogrid.compat.jwst.jwst_config`.

    Returns
    -------
    QTable
        See `tsogrid.compat.jwst.jwst_table`. An integration that could not be measured is a row of NaN.

    Raises
    ------
    TsogridError
        Wrong options, files that cannot be read, frames without any finite pixel.

    Warns
    -----
    TsogridWarning
        What is missing in the headers, and the integrations that could not be measured.
    """
    files = resolve([str(file) for file in files])
    if any(map(is_remote, files)):
        raise InputError(
            f"{shown(files[0])}: expected files of this machine, found a URL: the step's table needs the world coordinates "
            "in the file. Download it, or use tsogrid run."
        )
    frames = open_frames(files, reader="jwst", error="err", gain=plain_gain(options.get("gain")))
    config = jwst_config(files, **options, attributes=frames.attrs)
    _check_position(frames)
    result = _measured(frames, config, store, progress)
    center = config.center
    if center.method != "none" and center.position == "frame" and not np.isfinite(result["x"]).any():
        # No centroid in any frame: as the step does, the planned position.
        fixed = config.model_dump(mode="json", include=config.model_fields_set)
        fixed["center"] |= {"position": "median", "fallback": "planned"}
        result = _measured(frames, Config.from_mapping(fixed, where="jwst"), store and _beside(store), progress)
    _tell_failures(result)
    return jwst_table(result, to_sky=sky_transform(Path(files[0])))


def _measured(frames: xr.Dataset, config: Config, store: Any, progress: Progress | None) -> xr.Dataset:
    if store is not None:
        content = config.model_dump(mode="json", include=config.model_fields_set) | {"output": {"store": str(store)}}
        return run(Config.from_mapping(content, where="jwst"), progress=progress).compute()
    result = measure(frames, config).compute(scheduler="threads")
    if not (result["aperture_area"] > 0).any() and not _any_finite(frames):
        raise InputError(
            f"None of the {frames.sizes['time']} frames has a finite pixel: expected data (SCI), found NaN everywhere."
        )
    return result


def _beside(store: str | Path) -> Path:
    path = Path(store)
    return path.with_name(f"{path.stem}-planned{path.suffix}")


def _any_finite(frames: xr.Dataset) -> bool:
    data = frames["data"].variable
    return any(np.isfinite(data[index].to_numpy()).any() for index in range(frames.sizes["time"]))


def _check_position(frames: xr.Dataset) -> None:
    attributes, ny, nx = frames.attrs, frames.sizes["y"], frames.sizes["x"]
    if "x_ref" not in attributes or "y_ref" not in attributes:
        message = "expected XREF_SCI and YREF_SCI in the header, found none: the frame's centre is the planned position"
    elif not (-0.5 <= attributes["x_ref"] < nx - 0.5 and -0.5 <= attributes["y_ref"] < ny - 0.5):
        message = (
            f"the planned position, x = {attributes['x_ref']:g} and y = {attributes['y_ref']:g} (0-based), "
            f"lies outside the {nx} × {ny} pixels of the frames"
        )
    else:
        return
    warnings.warn(message, TsogridWarning, stacklevel=3)


def _tell_failures(result: xr.Dataset) -> None:
    flags = result["flags"].to_numpy()[:, 0]
    net = result["flux"].to_numpy()[:, 0, 0, 0]
    for what, failed in (
        ("without a centroid", (flags & int(SourceFlag.CENTER_FAILED)) != 0),
        ("whose net flux is NaN", ~np.isfinite(net)),
    ):
        if not failed.any():
            continue
        numbers = result["integration"].to_numpy()[failed]
        named = ", ".join(str(number) for number in numbers[:LISTED]) + (" …" if len(numbers) > LISTED else "")
        message = f"{len(numbers)} of {len(failed)} integrations {what}: {named}"
        warnings.warn(message, TsogridWarning, stacklevel=3)


def sky_transform(path: Path) -> ToSky | None:
    """Read the exact WCS (gwcs) of a product, if the packages for it are installed.

    Parameters
    ----------
    path : Path
        A product whose extension ASDF holds ``meta.wcs``.

    Returns
    -------
    callable or None
        (x, y) in 0-based pixels → right ascension, declination in degrees; None where there is no celestial gwcs or it
        cannot be read: then the header's WCS serves, whose distortion is an approximation.
    """
    import io

    from astropy.io import fits

    try:
        import asdf
        import gwcs  # noqa: F401
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(path) as hdus:
                content = hdus["ASDF"].data[0][0].tobytes()
            with asdf.open(io.BytesIO(content), lazy_load=False) as tree:
                wcs = tree["meta"]["wcs"]
                # A transform of another package's making is left as plain data where that package is missing.
                ra, dec = wcs(0.0, 0.0, with_bounding_box=False)
        except Exception:  # whatever asdf and gwcs raise: the header's WCS is at hand
            return None
    return wcs if np.isfinite([ra, dec]).all() else None
