"""A night of small frames whose star wanders, each file with world coordinates of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import tsogrid

SHAPE = (48, 64)
SKY = (150.02, 20.01)


def celestial(x: float, y: float, rotation: float = 0.0, kind: str = "TAN") -> fits.Header:
    """A WCS in which SKY falls on pixel x, y."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    wcs.wcs.crval, wcs.wcs.crpix = SKY, [x + 1, y + 1]
    c, s = np.cos(rotation), np.sin(rotation)
    wcs.wcs.cd = 3e-4 * np.array([[-c, s], [s, c]])
    return wcs.to_header()


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., Path]:
    """Write a frame a place: a star there, and a header that the caller may change."""

    def write(places: Any, headers: Any = None, sky: float = 20.0) -> Path:
        folder = tmp_path / "night"
        folder.mkdir(exist_ok=True)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        for i, (px, py) in enumerate(np.asarray(places, float)):
            star = 9000 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.6**2))
            noise = np.random.default_rng(i).normal(0, 2, SHAPE)
            header = fits.Header() if headers is None or headers[i] is None else headers[i].copy()
            header["JD"], header["EXPTIME"] = 2450000.5 + i / 1000, 0.0
            fits.PrimaryHDU((star + sky + noise).astype(np.float32), header).writeto(folder / f"f{i:02d}.fits")
        return folder

    return write


def config_of(folder: Path, **sections: Any) -> tsogrid.Config:
    """A configuration that measures every frame of a folder."""
    content = {
        "input": {"files": [str(folder)], "gain": 1.0, **sections.pop("input", {})},
        "sources": [{"name": "star", "x": 30, "y": 24}],
        "center": {"search_box": 11, "fit_box": 9, **sections.pop("center", {})},
        "apertures": [{"shape": "circle", "radius": 5}],
        "sky": [{"method": "annulus", "inner": 7, "outer": 10, "statistic": "mean"}],
        "cluster": {"kind": "none"},
        **sections,
    }
    return tsogrid.Config.from_mapping(content)
