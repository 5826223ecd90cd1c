"""What went into simulated frames: plain arrays and numbers, saved beside the files as npz."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tsogrid.simulate.signal import Floats


class _Saved:
    """Writing to and reading from one npz file, for dataclasses of arrays, numbers and texts."""

    def save(self, path: str | Path) -> None:
        """Write all fields as one npz file, under another name first."""
        path = Path(path)
        fields: dict[str, Any] = {name: np.asarray(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]
        partial = path.with_name(f".{path.name}.partial")
        try:
            with open(partial, "wb") as file:
                np.savez(file, **fields)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(**{
                name: stored[name].tolist() if stored[name].ndim == 0 or stored[name].dtype.kind == "U" else stored[name]
                for name in stored.files
            })  # fmt: skip


@dataclass(frozen=True)
class Truth(_Saved):
    """What was put into a simulated exposure of n integrations.

    Attributes
    ----------
    files : list of str
        The segments in order, whole paths.
    time : ndarray
        (n,) mid-integration, BJD_TDB in days.
    transit : ndarray
        (n,) relative flux of the target, ``1 - depth * shape``.
    shape : ndarray
        (n,) what `transit_shape` gives for these times.
    x, y : ndarray
        (n,) position of the target, pixels.
    flux : ndarray
        (n,) whole flux of the target, in file units (summed over pixels).
    photon_variance : ndarray
        (n,) variance of that flux by the target's own photons, file units squared.
    pixel_variance : float
        Variance of a pixel by sky photons and read noise, file units squared. A sum of area A that holds a part p of the
        star has the variance ``p * photon_variance + A * pixel_variance``, without the 1/f noise.
    row_offsets : ndarray
        float32 (n, rows, amplifiers): mean of the 1/f noise over the columns of the amplifier, file units.
    amplifier_bounds : ndarray
        int (amplifiers, 2): first column, and the one after the last.
    depth, mid_time, transit_duration : float
        Of the transit; days, BJD_TDB.
    common_fraction : float
        Part of the variance of the 1/f noise that is common to all amplifiers.
    electrons_per_unit : float
        Electrons of a pixel value of 1.
    units : str
        Of the pixel values.
    seed : int
        Of the simulation.
    bad_frames : ndarray
        int, numbers (from 0) of the frames that are wholly NaN.
    """

    files: list[str]
    time: Floats
    transit: Floats
    shape: Floats
    x: Floats
    y: Floats
    flux: Floats
    photon_variance: Floats
    pixel_variance: float
    row_offsets: NDArray[np.float32]
    amplifier_bounds: NDArray[np.int64]
    depth: float
    mid_time: float
    transit_duration: float
    common_fraction: float
    electrons_per_unit: float
    units: str
    seed: int
    bad_frames: NDArray[np.int64]


@dataclass(frozen=True)
class StarFrames:
    """Frames of stars in memory, n frames and s stars, in data numbers (electrons where the gain is 1).

    Attributes
    ----------
    data, model : ndarray
        (n, rows, columns) with noise, and what is expected without it.
    error : ndarray
        (n, rows, columns) standard deviation of the noise, from `model`.
    x, y, flux : ndarray
        (n, s) positions in pixels and whole fluxes in data numbers.
    gain, read_noise, sky : float
        Electron per data number; electrons; data numbers per pixel.
    seed : int
        Of the simulation.
    """

    data: NDArray[np.floating]
    model: Floats
    error: NDArray[np.floating]
    x: Floats
    y: Floats
    flux: Floats
    gain: float
    read_noise: float
    sky: float
    seed: int


@dataclass(frozen=True)
class NightTruth(_Saved):
    """What was put into a simulated night of n frames and s stars, of which the first is the target.

    Attributes
    ----------
    files : list of str
        In order of time, whole paths.
    time : ndarray
        (n,) mid-exposure, JD_UTC in days.
    transit, transparency : ndarray
        (n,) relative flux of the target by its transit, and of all stars by the clouds.
    x, y, flux : ndarray
        (n, s) positions in pixels and whole fluxes in data numbers, transit and clouds included.
    depth, sky, gain, read_noise : float
        Of the transit; data numbers per pixel; electron per data number; electrons.
    seed : int
        Of the simulation.
    """

    files: list[str]
    time: Floats
    transit: Floats
    transparency: Floats
    x: Floats
    y: Floats
    flux: Floats
    depth: float
    sky: float
    gain: float
    read_noise: float
    seed: int
