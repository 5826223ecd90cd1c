"""What tshirt 0.4.1 computes of synthetic frames, with the parameters it was given: cases for the tests."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from tests.samples import SHARED
from tsogrid import measure, open_frames
from tsogrid.compat.tshirt import convert
from tsogrid.config import Annulus, Circle, ColumnRow, Config, Rectangle, Ring, SkyRectangle

SMALL = Path(__file__).resolve().parents[1] / "data" / "tshirt"  # two frames of one series, one of the other
WHOLE = SHARED / "tshirt"
ARRAYS = (
    "flux",
    "flux_err",
    "bkg",
    "bkg_err",
    "raw",
    "raw_err",
    "cen",
    "fwhm",
    "jd",
    "src_r",
    "bkg_rin",
    "bkg_rout",
    "files",
)


@dataclass(frozen=True)
class Case:
    """One configuration of tshirt, with what came out; arrays are (frames, stars)."""

    name: str
    folder: Path
    parameters: dict
    arrays: dict

    def __getitem__(self, name):
        return self.arrays[name]

    @property
    def frames(self):
        """The frames in the unit of the result, (frames, ny, nx)."""
        factor = 1.0
        names = [self.folder / self.name[0] / name for name in self.arrays["files"]]
        if self.parameters.get("isSlope"):
            factor = fits.getheader(names[0])["INTTIME"] * self.parameters.get("detectorGain", 1.0)
        return np.stack([fits.getdata(name).astype(float) for name in names]) * factor


def small_cases():
    """Give the cases whose frames are copied into the tests."""
    with np.load(SMALL / "goldens.npz") as content:
        names = sorted({key.partition("/")[0] for key in content.files})
        return [
            Case(
                name,
                SMALL,
                json.loads(str(content[f"{name}/params"])),
                {key: content[f"{name}/{key}"] for key in ARRAYS if f"{name}/{key}" in content.files},
            )
            for name in names
        ]


def whole_cases():
    """Give the cases of the sample data; none where these are not there."""
    found = []
    for path in sorted((WHOLE / "npz").glob("*.npz")):
        with np.load(path) as content:
            arrays = {key: content[key] for key in ARRAYS if key in content.files}
            found.append(Case(path.stem, WHOLE, json.loads(str(content["params"])), arrays))
    return found


def measured(case, folder, **sections):
    """Convert a case's parameters, put its apertures on tshirt's centroids, and measure."""
    files = str(case.folder / case.name[0] / "*.fits")
    (run,) = convert({**case.parameters, "procFiles": files}, folder / "parameters.yaml").runs
    content = {**run.content, "cluster": {"kind": "none"}}
    table = folder / "centroids.csv"
    n_frames, n_stars = case["cen"].shape[:2]
    frame, star = np.divmod(np.arange(n_frames * n_stars), n_stars)
    x, y = case["cen"].reshape(-1, 2).T
    rows = [f"{f},{s},{a!r},{b!r}" for f, s, a, b in zip(frame.tolist(), star.tolist(), x.tolist(), y.tolist(), strict=True)]
    table.write_text("\n".join(["frame,source,x,y", *rows]))
    content["center"] = {**content["center"], "position": "file", "position_file": str(table)}
    for name, values in sections.items():
        content[name] = {**content.get(name, {}), **values}
    config = Config.from_mapping(content, where=case.name)
    return measure(open_frames(config.input), config).isel(aperture=0, sky=0).compute(scheduler="threads")


def regions(config, case):
    """Boxes or discs about a star that hold its aperture and its sky: (is a disc, half width, half height, dx, dy)."""
    (shape,), ((step,),) = config.apertures, config.sky
    found = []
    if isinstance(shape, Circle | Ring):
        radius = np.max(case["src_r"]) if isinstance(shape, Circle) else shape.outer
        found.append((True, radius, radius, 0.0, 0.0))
    elif isinstance(shape, Rectangle):
        found.append((False, shape.width / 2, shape.height / 2, 0.0, 0.0))
    if isinstance(step, Annulus | SkyRectangle | ColumnRow):
        if getattr(step, "outer", None) is None:
            found.append((False, step.width / 2, step.height / 2, *step.offset))
        else:
            outer = np.max(case["bkg_rout"])
            found.append((not isinstance(step, ColumnRow), outer, outer, *step.offset))
    return found


def untouched(config, case, frames, bad=None):
    """Which points no bad pixel and no edge of the frame can have changed, (frames, stars)."""
    ny, nx = frames.shape[1:]
    bad = ~np.isfinite(frames) if bad is None else bad
    good = np.ones(case["flux"].shape, bool)
    rows, columns = np.ogrid[:ny, :nx]
    for i, j in np.ndindex(good.shape):
        for disc, width, height, dx, dy in regions(config, case):
            x, y = case["cen"][i, j] + (dx, dy)
            good[i, j] &= x - width >= -0.5 and y - height >= -0.5 and x + width <= nx - 0.5 and y + height <= ny - 0.5
            if disc:  # half the diagonal of a pixel more
                inside = (columns - x) ** 2 + (rows - y) ** 2 < (width + 0.71) ** 2
            else:
                inside = (abs(columns - x) < width + 1) & (abs(rows - y) < height + 1)
            good[i, j] &= not bad[i][inside].any()
    return good
