"""What all tests share: small series with known truth, and no threads beside the ones under test."""

import os

import numpy as np
import pytest
from astropy.utils import iers
from hypothesis import settings

from tsogrid.simulate import simulate_exposure

# astropy's tables of the Earth's rotation and of leap seconds get old: no test asks the network for others, or the day.
iers.conf.auto_download, iers.conf.auto_max_age = False, None

# The same examples in every run: what fails here fails everywhere, and a slow machine fails nothing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


def pytest_xdist_auto_num_workers(config):
    """One more than there are processors: a fourth of the time tests wait for servers, browsers and batch systems."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def exposure(tmp_path_factory):
    """A short two-segment exposure with 1/f noise, bad pixels and one wholly bad frame; its truth."""
    folder = tmp_path_factory.mktemp("exposure")
    return simulate_exposure(folder, name="small", integrations=30, segments=2, shape=(48, 128), seed=5, bad_frames=[11])


@pytest.fixture
def star_frames():
    """Twenty frames of one Gaussian star on a flat sky: float32, (time, y, x)."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :56]
    star = 900 * np.exp(-((x - 30.3) ** 2 + (y - 22.8) ** 2) / (2 * 1.6**2))
    return (star + 20 + rng.normal(0, 2, (20, 48, 56))).astype(np.float32)
