"""Plate constants beside astropy's fit of a WCS: the same places first, then milliseconds, in turns.

``python benchmarks/bench_plate.py`` prints them; the class is run by asv.
"""

import time
import warnings

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import fit_wcs_from_points

from tsogrid.field.plate_solution import tangent_plane
from tsogrid.kernels.plate import fit_plate, plane_of

MATRIX = np.array([[-1.09e-4, 3e-6], [2.7e-6, 1.085e-4]])


class Plates:
    """The fit of one frame; ours pairs the stars and clips as well."""

    params = (20, 150, 2000)
    param_names = ("stars",)

    def setup(self, stars: int) -> None:
        rng = np.random.default_rng(1)
        x, y = rng.uniform(0, 2000, (2, stars))
        self.plane = np.stack([x - 999.5, y - 999.5], axis=-1) @ MATRIX.T
        self.stars = x + rng.normal(0, 0.04, stars), y + rng.normal(0, 0.04, stars), np.exp(-0.01 * x), np.full(stars, 0.05)
        self.wcs = tangent_plane(np.array([150.0, 20.0]), 1.0)
        self.sky = SkyCoord(*self.wcs.pixel_to_world_values(-self.plane[:, 0], self.plane[:, 1]), unit="deg")

    def time_plate(self, stars: int) -> object:
        every = np.arange(stars)
        return fit_plate(self.stars, self.plane, self.stars[2], (every, every), (999.5, 999.5))

    def time_astropy(self, stars: int) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit_wcs_from_points(self.stars[:2], self.sky, proj_point=SkyCoord(150, 20, unit="deg"))


def main() -> None:
    """Compare, then time in turns."""
    bench = Plates()
    for stars in Plates.params:
        bench.setup(stars)
        peer, plate = bench.time_astropy(stars), bench.time_plate(stars)
        there = np.stack(bench.wcs.world_to_pixel_values(*peer.pixel_to_world_values(*bench.stars[:2])), axis=-1) * [-1, 1]
        apart = np.hypot(*(there - plane_of(plate, *bench.stars[:2])).T).max() / 1.09e-4
        taken = {"plate": [], "astropy": []}
        for _ in range(5):
            for name, seconds in taken.items():
                start = time.perf_counter()
                getattr(bench, f"time_{name}")(stars)
                seconds.append(time.perf_counter() - start)
        best = {name: 1e3 * min(seconds) for name, seconds in taken.items()}
        print(
            f"{stars:5d} stars: {best['plate']:7.1f} ms, astropy {best['astropy']:7.1f} ms; places {apart:.4f} pixels apart"
        )


if __name__ == "__main__":
    main()
