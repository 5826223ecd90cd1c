"""Forced photometry of a catalogue: 1000 stars, frames of 1024 × 1024, 20 radii, against photutils and sep, in turns.

``python benchmarks/forced.py`` prints CPU milliseconds a frame of one core. What tsogrid does includes reading the file,
errors from the gain, world coordinates, sky, flags and errors of everything; ``--run FOLDER FRAMES`` writes frames there and
measures a whole run of them through local workers, with the memory that a worker takes.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

import tsogrid
from tsogrid.engine.run import prepared

SIZE, STARS, RADII = 1024, 1000, np.linspace(3, 20, 20)
INNER, OUTER = 23.0, 30.0
SIGMA = 1.5


def celestial(frame: int) -> fits.Header:
    """A WCS of half an arcsecond a pixel that wanders by a few pixels."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 20.0]
    wcs.wcs.crpix = [SIZE / 2 + 3 * np.sin(frame / 7), SIZE / 2 + 2 * np.cos(frame / 5)]
    turn = 1e-6 * frame
    wcs.wcs.cd = 0.5 / 3600 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return wcs.to_header()


def write_night(folder: Path, frames: int, seed: int = 3) -> Path:
    """Write frames and their catalogue; gives the catalogue's path."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SIZE - 1, (2, STARS))
    flux = 10 ** rng.uniform(3, 5.5, STARS)
    ra, dec = WCS(celestial(0)).all_pix2world(x, y, 0)
    catalogue = folder / "stars.csv"
    rows = [f"s{number:04d},{a:.9f},{b:.9f}" for number, (a, b) in enumerate(zip(ra, dec, strict=True))]
    catalogue.write_text("\n".join(["name,ra,dec", *rows]) + "\n")
    row, column = np.mgrid[-12:13, -12:13]
    for frame in range(frames):
        header = celestial(frame)
        image = np.full((SIZE + 80, SIZE + 80), 200.0)
        for px, py, total in zip(*WCS(header).all_world2pix(ra, dec, 0), flux, strict=True):
            i, j = round(float(py)), round(float(px))
            star = np.exp(-((column - (px - j)) ** 2 + (row - (py - i)) ** 2) / (2 * SIGMA**2))
            image[i + 28 : i + 53, j + 28 : j + 53] += total / (2 * np.pi * SIGMA**2) * star
        image = image[40:-40, 40:-40]
        image += rng.normal(0, 1, image.shape) * np.sqrt(image)
        header["DATE-OBS"], header["EXPTIME"] = (
            f"2026-01-01T{frame // 3600:02d}:{frame // 60 % 60:02d}:{frame % 60:02d}",
            1.0,
        )
        fits.PrimaryHDU(image.astype(np.float32), header).writeto(folder / f"f{frame:05d}.fits", overwrite=True)
    return catalogue


def configuration(folder: Path, catalogue: Path, kind: str = "none") -> tsogrid.Config:
    return tsogrid.Config.from_mapping(
        {
            "input": {"files": [str(folder / "f*.fits")], "gain": 1.5, "read_noise": 5},
            "sources": str(catalogue),
            "center": {"method": "none", "position": "fixed"},
            "apertures": [{"shape": "circle", "radius": list(RADII)}],
            "sky": [{"method": "annulus", "inner": INNER, "outer": OUTER}],
            "output": {"store": str(folder / "forced.zarr")},
            "cluster": {"kind": kind},
        }
    )


def peers(data: np.ndarray, error: np.ndarray, places: np.ndarray) -> dict[str, Callable[[], object]]:
    """What the others do with one frame: sums over the circles; a sky from the annulus."""
    import sep
    from astropy.stats import SigmaClip
    from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture

    circles = [CircularAperture(places, radius) for radius in RADII]
    ring = CircularAnnulus(places, INNER, OUTER)
    x, y = places.T
    return {
        "photutils: sums": lambda: [each.do_photometry(data, error=error) for each in circles],
        "photutils: sky": lambda: ApertureStats(data, ring, error=error, sigma_clip=SigmaClip(3.0)).median,
        "sep: sums": lambda: [sep.sum_circle(data, x, y, radius, err=error, subpix=0) for radius in RADII],
        "sep: sums without errors": lambda: [sep.sum_circle(data, x, y, radius, subpix=0) for radius in RADII],
        "sep: sky (mean)": lambda: sep.sum_circann(data, x, y, INNER, OUTER, err=error, subpix=0),
    }


def compare(repeat: int) -> None:
    import photutils

    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        frames, plan = prepared(configuration(folder, write_night(folder, 4)))
        ours = plan.measure(0, 4)
        data = frames["data"].isel(time=0).to_numpy().astype(np.float64)
        error = np.sqrt(np.maximum(data * 1.5 + 25, 2.5)) / 1.5
        runs = peers(data, error, plan.sources.planned[0])
        inside = (ours["aperture_flags"][0] == 0) | (ours["aperture_flags"][0] >= 128)
        found = np.stack([each[0] for each in runs["photutils: sums"]()], axis=-1)
        np.testing.assert_allclose(ours["aperture_sum"][0][inside], found[inside], rtol=1e-6)
        found = np.stack([each[0] for each in runs["sep: sums"]()], axis=-1)
        np.testing.assert_allclose(ours["aperture_sum"][0][inside], found[inside], rtol=1e-6)
        times: dict[str, list[float]] = {"tsogrid: everything": [], **{each: [] for each in runs}}
        for _ in range(repeat):
            begin = time.thread_time()
            plan.measure(0, 4)
            times["tsogrid: everything"].append((time.thread_time() - begin) / 4)
            for each, run in runs.items():
                begin = time.thread_time()
                run()
                times[each].append(time.thread_time() - begin)
    own = float(np.median(times["tsogrid: everything"]))
    print(f"{STARS} stars, {SIZE} × {SIZE}, {RADII.size} radii; photutils {photutils.__version__}")
    for each, values in times.items():
        print(f"  {each:28s}{np.median(values) * 1e3:9.1f} ms a frame{np.median(values) / own:8.1f} ×")


def whole_run(folder: Path, frames: int) -> None:
    import threading

    import psutil

    folder.mkdir(parents=True, exist_ok=True)
    config = configuration(folder, write_night(folder, frames), "local")
    peak = {"bytes": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    peak["bytes"] = max(peak["bytes"], child.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    begin = time.perf_counter()
    result = tsogrid.run(config, mode="overwrite")
    seconds = time.perf_counter() - begin
    over.set()
    size = sum(path.stat().st_size for path in (folder / "forced.zarr").rglob("*") if path.is_file())
    files = sum(path.is_file() for path in (folder / "forced.zarr").rglob("*"))
    own = psutil.Process().memory_info().rss
    print(f"{dict(result.sizes)}: {seconds:.1f} s, {seconds / frames * 1e3:.1f} ms a frame of wall time")
    print(f"worker at most {peak['bytes'] / 1e6:.0f} MB, this process {own / 1e6:.0f} MB")
    print(f"store {size / 1e6:.0f} MB in {files} files")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "FRAMES"))
    given = parser.parse_args()
    if given.run:
        whole_run(Path(given.run[0]), int(given.run[1]))
    else:
        compare(given.repeat)
