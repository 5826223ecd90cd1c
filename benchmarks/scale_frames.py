"""The frames of the benchmark of long runs: segments of tiny frames, laid out as the JWST pipeline does."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

CHUNK = 1000  # frames that differ; longer segments repeat them


def write_segments(folder: Path, integrations: int, size: int, segments: int = 10, sparse: bool = False) -> list[Path]:
    """Write an exposure in the layout of the JWST pipeline: a star in noise, no ERR, no DQ, and a table of times.

    Parameters
    ----------
    folder : Path
        Where; it is made. Frames that stand there already, from an earlier call with the same words, are kept.
    integrations : int
        Frames in all.
    size : int
        Rows and columns of a frame.
    segments : int
        Files, at most.
    sparse : bool
        Whether only the first frames of a file stand on the disk; the others read as 0, and take no room.

    Returns
    -------
    list of Path
    """
    from astropy.io import fits

    whole = folder / "whole"
    if whole.exists() and whole.read_text() == f"{integrations} {size} {segments} {sparse}":
        return sorted(folder.glob("scale-seg*_calints.fits"))
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    unique = min(8 if sparse else CHUNK, integrations)
    frames = (1000 * np.exp(-(x**2 + y**2) / 4) + rng.normal(100, 5, (unique, size, size))).astype(">f4").tobytes()
    edges = np.linspace(0, integrations, min(segments, integrations) + 1).astype(int)
    paths = []
    for number, (start, stop) in enumerate(pairwise(edges), 1):
        primary = fits.PrimaryHDU()
        told = {"TELESCOP": "JWST", "EXP_TYPE": "NRC_TSIMAGE", "EXSEGNUM": number, "EXSEGTOT": edges.size - 1}
        told |= {"NOUTPUTS": 4 if size == 2048 else 1, "FASTAXIS": 1}
        primary.header.update(told | {"INTSTART": int(start) + 1, "INTEND": int(stop)})
        science = fits.ImageHDU(name="SCI").header
        science["BITPIX"], science["NAXIS"] = -32, 3
        for axis, length in ((1, size), (2, size), (3, int(stop - start))):
            science.insert(f"NAXIS{axis - 1}" if axis > 1 else "NAXIS", (f"NAXIS{axis}", length), after=True)
        science["BUNIT"] = "DN"
        numbers = np.arange(start, stop)
        middle = 60000 + numbers * 1e-5
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column("integration_number", "J", array=numbers + 1),
                fits.Column("int_mid_MJD_UTC", "D", array=middle),
                fits.Column("int_mid_BJD_TDB", "D", array=middle + 0.002),
            ],
            name="INT_TIMES",
        )
        path = folder / f"scale-seg{number:03d}_calints.fits"
        one = size * size * 4
        with path.open("wb") as file:
            file.write(primary.header.tostring().encode() + science.tostring().encode())
            end = file.tell() + int(stop - start) * one
            for first in range(0, 1 if sparse else int(stop - start), unique):
                file.write(frames[: min(unique, int(stop - start) - first) * one])
            file.truncate(end)
            file.seek(end)
            file.write(b"\0" * (-file.tell() % 2880))
        with tempfile.TemporaryFile() as other:
            fits.HDUList([fits.PrimaryHDU(), table]).writeto(other)
            other.seek(0)
            content = other.read()
        with path.open("ab") as file:
            file.write(content[2880:])
        paths.append(path)
    whole.write_text(f"{integrations} {size} {segments} {sparse}")
    return paths
