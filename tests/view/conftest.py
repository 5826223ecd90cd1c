"""A night with apertures and skies of every shape, and an exposure whose rows are modelled; each with its frames."""

import matplotlib
import pytest

import tsogrid
from tsogrid.simulate import simulate_night

STARS = [(40.0, 36.0, 1e5), (88.0, 60.0, 8e4), (30.0, 78.0, 6e4)]


@pytest.fixture(autouse=True)
def no_windows():
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory):
    """A folder with ``frames`` and ``night.zarr``."""
    folder = tmp_path_factory.mktemp("shapes")
    truth = simulate_night(
        folder / "frames", name="s", frames=12, shape=(110, 120), stars=STARS, drift=1.0, jitter=0.2, seed=6
    )
    config = {
        "input": {"files": list(truth.files), "gain": "GAIN", "read_noise": "RDNOISE"},
        "sources": [
            {"name": f"s{number}", "x": x, "y": y, "role": "reference" if number else "target"}
            for number, (x, y, _) in enumerate(STARS)
        ],
        "center": {"search_box": 15, "fit_box": 13},
        "apertures": [
            {"radius": [4, 6]},
            {"shape": "rectangle", "width": 16, "height": 8},
            {"shape": "annulus", "inner": 3, "outer": 7},
            {"scaled": {"factor": [1.5]}},
        ],
        "sky": [
            {"inner": 12, "outer": 18},
            {"method": "rectangle", "width": 8, "height": 14, "offset": [16, 0]},
            {"method": "colrow", "inner": 9, "outer": 14},
            {"method": "annulus", "inner": 10, "outer": 16, "scaled": {"factor": 1.5, "reference_radius": 5}},
        ],
        "output": {"store": str(folder / "night.zarr")},
        "cluster": {"kind": "none"},
    }
    tsogrid.run(tsogrid.Config.from_mapping(config))
    return folder


@pytest.fixture(scope="session")
def night(shapes_folder):
    """The result and its frames."""
    frames = tsogrid.open_frames(shapes_folder / "frames", gain="GAIN", read_noise="RDNOISE")
    return tsogrid.open_result(shapes_folder / "night.zarr").load(), frames


@pytest.fixture(scope="session")
def rows(exposure, tmp_path_factory):
    """A result with a model of the rows (its twelfth integration is NaN), and its frames."""
    amplifiers = [[start, start + 32] for start in range(0, 128, 32)]
    row_model = {"method": "rowamp", "mask_radius": 12, "amplifiers": amplifiers}
    config = {
        "input": {"files": list(exposure.files)},
        "center": {"search_box": 15, "fit_box": 11},
        "apertures": [{"radius": [3, 4]}],
        "sky": [[row_model, {"inner": 8, "outer": 14}], {"inner": 8, "outer": 14}],
        "output": {"store": str(tmp_path_factory.mktemp("rows") / "rows.zarr")},
        "cluster": {"kind": "none"},
    }
    return tsogrid.run(tsogrid.Config.from_mapping(config)), tsogrid.open_frames(exposure.files)
