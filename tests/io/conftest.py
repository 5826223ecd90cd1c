"""Small FITS files, written with astropy as cameras and pipelines write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from tests.samples import SHARED

START, LENGTH, FRAME = 60383.1, 0.5016, 0.05016


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder shared/data is not beside the project")
    return SHARED


def int_times(first: int, rows: int, cadence: float = LENGTH + FRAME) -> fits.BinTableHDU:
    number = np.arange(first, first + rows)
    mid = START + ((number - 1) * cadence + LENGTH / 2) / 86400
    columns = [fits.Column("integration_number", "J", array=number)]
    for name, shift in (("start", -LENGTH / 2), ("mid", 0.0), ("end", LENGTH / 2)):
        columns.append(fits.Column(f"int_{name}_MJD_UTC", "D", array=mid + shift / 86400))
    for name, shift in (("start", -LENGTH / 2), ("mid", 0.0), ("end", LENGTH / 2)):
        columns.append(fits.Column(f"int_{name}_BJD_TDB", "D", array=mid + 0.0044 + shift / 86400))
    return fits.BinTableHDU.from_columns(columns, name="INT_TIMES")


@pytest.fixture
def segment(tmp_path: Path) -> Callable[..., Path]:
    """Write a JWST segment: integrations `first` to `first + rows − 1` of an exposure."""

    def write(
        name: str = "x_calints.fits",
        first: int = 1,
        rows: int = 6,
        shape: tuple[int, int] = (12, 16),
        table: Any = "own",
        drop: tuple[str, ...] = (),
        error_shape: tuple[int, ...] | None = None,
        data: np.ndarray | None = None,
        **keywords: Any,
    ) -> Path:
        random = np.random.default_rng(first)
        cube = random.normal(100, 5, (rows, *shape)).astype(np.float32) if data is None else data
        primary = fits.PrimaryHDU()
        header = {
            "TELESCOP": "JWST",
            "INSTRUME": "NIRCAM",
            "DETECTOR": "NRCB1",
            "TARGNAME": "STAR",
            "EXP_TYPE": "NRC_TSIMAGE",
            "EXPSTART": START,
            "EFFINTTM": LENGTH,
            "TFRAME": FRAME,
            "NINTS": 12,
            "INTSTART": first,
            "INTEND": first + rows - 1,
            "SUBSTRT1": 1,
            "SUBSTRT2": 33,
            "FASTAXIS": -1,
            "NOUTPUTS": 1,
        } | keywords
        for key, value in header.items():
            if value is not None:
                primary.header[key] = value
        science = fits.ImageHDU(cube, name="SCI")
        science.header["BUNIT"] = "DN/s"
        science.header["XREF_SCI"], science.header["YREF_SCI"] = 9.0, 5.5
        error = random.uniform(1, 2, error_shape or cube.shape).astype(np.float32)
        units = [
            primary,
            science,
            fits.ImageHDU(error, name="ERR"),
            fits.ImageHDU(random.integers(0, 2**32, cube.shape, dtype=np.uint32), name="DQ"),
            fits.ImageHDU(random.uniform(1, 2, cube.shape).astype(np.float32), name="VAR_POISSON"),
            fits.ImageHDU(random.uniform(1, 2, cube.shape).astype(np.float32), name="VAR_RNOISE"),
        ]
        if table == "own":
            units.append(int_times(first, rows))
        elif isinstance(table, tuple):
            units.append(int_times(*table))
        path = tmp_path / name
        fits.HDUList([unit for unit in units if unit.name not in drop]).writeto(path)
        return path

    return write


@pytest.fixture
def frame(tmp_path: Path) -> Callable[..., Path]:
    """Write a single-frame FITS file of a camera."""

    def write(name: str, data: Any = None, folder: str = "night", **keywords: Any) -> Path:
        pixels = np.arange(60, dtype=np.int16).reshape(6, 10) if data is None else data
        unit = fits.PrimaryHDU(pixels)
        for key, value in keywords.items():
            unit.header[key.replace("__", "-")] = value
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        unit.writeto(path)
        return path

    return write
