"""Two results as stores: a night of a target and two reference stars in JD_UTC, and an exposure in BJD_TDB."""

import warnings

import pytest

import tsogrid
from tsogrid.config import Config
from tsogrid.errors import TsogridWarning
from tsogrid.simulate import simulate_night

STARS = [(40.0, 36.0, 2e5), (70.0, 50.0, 1.5e5), (30.0, 64.0, 1e5)]


@pytest.fixture(scope="session")
def night_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export-night")
    simulate_night(folder / "frames", frames=14, shape=(96, 100), stars=STARS, fwhm=3, drift=1, jitter=0.2, seed=8)
    config = Config.from_mapping(
        {
            "input": {"files": [str(folder / "frames")], "gain": "GAIN", "read_noise": "RDNOISE"},
            "sources": [
                {"name": name, "x": x, "y": y, "role": "target" if name == "star" else "reference"}
                for name, (x, y, _) in zip(("star", "c1", "c2"), STARS, strict=True)
            ],
            "center": {"search_box": 15, "fit_box": 11},
            "apertures": [{"shape": "circle", "radius": [3, 5]}],
            "sky": [{"method": "annulus", "inner": 8, "outer": 14, "statistic": "mean"}, {"method": "none"}],
            "output": {"store": str(folder / "night.zarr")},
            "cluster": {"kind": "none"},
        }
    )
    tsogrid.run(config)
    return folder / "night.zarr"


@pytest.fixture
def night(night_store):
    return tsogrid.open_result(night_store)


@pytest.fixture(scope="session")
def space(exposure):
    """One source in BJD_TDB, one aperture, one sky; one integration is NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)
        return tsogrid.measure(exposure.files, radius=3).compute()
