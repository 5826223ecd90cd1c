"""Many skies and apertures in one run are the planes of as many separate runs, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

import tsogrid
from tests.engine.test_apertures import SHAPES, SKIES, frames
from tsogrid.engine.graph import plan

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tshirt" / "a"
X, Y = [72.0, 130.0, 51.0, 149.0], [96.0, 60.0, 150.0, 160.0]
FIVE = [
    {"inner": 14, "outer": 20, "statistic": "mean"},
    {"inner": 14, "outer": 20},
    {"method": "rectangle", "width": 40, "height": 12, "offset": [0, 22], "statistic": "robust-mean"},
    {"method": "colrow", "inner": 14, "outer": 20, "order_x": 1, "order_y": 1},
    [{"method": "rowamp", "mask_radius": 16, "even_odd": True}, {"inner": 14, "outer": 20, "statistic": "median"}],
]


def assert_planes(together, alone, **chosen):
    """Every variable of a run alone is the chosen plane of the run of all."""
    for name, variable in alone.data_vars.items():
        if name != "amplifier_correlation" or "amplifier_correlation" in together:
            plane = together[name].isel({dim: index for dim, index in chosen.items() if dim in together[name].dims})
            assert plane.to_numpy().tobytes() == variable.to_numpy().tobytes(), (name, chosen)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not beside the project")
@pytest.mark.parametrize("calibrate", [{}, {"outliers": {"window": 7}}])
def test_five_skies_over_twenty_radii_are_five_runs(calibrate):
    files = sorted(str(path) for path in SHARED.glob("*.fits"))[:: 1 if not calibrate else 4]
    common = {"input": {"gain": 1.5, "read_noise": 8.0}, "center": {"search_box": 15, "fit_box": 13}, "calibrate": calibrate}
    place = {"x": X, "y": Y, "radius": np.arange(3, 13, 0.5)}

    def measured(sky, block):
        return tsogrid.measure(files, **place, **common, sky=sky, block=block).compute(scheduler="synchronous")

    together = measured(FIVE, 16)
    assert together.sizes == {"time": len(files), "source": 4, "aperture": 20, "sky": 5}
    assert np.isfinite(together.flux).mean() > 0.9
    for index, sky in enumerate(FIVE):
        assert_planes(together, measured([sky], 9), sky=[index])


def test_every_aperture_over_every_sky_is_a_run_of_its_own():
    data = frames()
    data[2, 28, 27] = np.nan
    settings = {
        "x": [25, 56], "y": [30, 27], "input": {"gain": 1.0},
        "center": {"fit_box": 15, "search_box": 11, "position": "median"},
    }  # fmt: skip

    def measured(**planes):
        return tsogrid.measure(data, **settings, **planes).compute(scheduler="synchronous")

    together = measured(apertures=SHAPES, sky=SKIES)
    labels = list(together.aperture.values)
    for shape in SHAPES[1:]:
        for sky in (SKIES[4], SKIES[7]):
            alone = measured(apertures=[shape], sky=[sky])
            if shape.get("radius") is None or together.sky.values[SKIES.index(sky)].count("colrow"):
                alone = alone.drop_vars(["sky_level", "sky_level_err", "flags"])  # of a model: in the largest aperture
            indices = [labels.index(label) for label in alone.aperture.values]
            assert_planes(together, alone, aperture=indices, sky=[SKIES.index(sky)])


ROWS = {"method": "rowamp", "amplifiers": [[0, 26], [26, 60], [60, 75]]}  # the last columns have none
RINGS = [{"inner": 5 + 0.5 * k, "outer": 9 + 0.5 * k} for k in range(9)] + [{"inner": 6, "outer": 8, "statistic": "median"}]


@pytest.mark.parametrize("nan", ["mask", "leave"])
@pytest.mark.parametrize(
    "models",
    [
        [[ROWS | {"mask_radius": 4}], [ROWS | {"mask_radius": 7}], [ROWS | {"mask_radius": 9.5}]],
        [
            [],
            [ROWS | {"mask_radius": 4, "even_odd": True}],
            [ROWS | {"mask_radius": 6}, ROWS | {"mask_radius": 8, "smooth": 5}],
        ],
    ],
    ids=["masks", "kinds"],
)
def test_thirty_skies_are_thirty_runs(models, nan):
    """Ten rings on three models of the rows: stars that move, bad pixels, a bad row, stars over the edge and beyond it."""
    data = frames(3)
    rng = np.random.default_rng(5)
    data += rng.normal(0, 3, (*data.shape[:2], 1)).astype(data.dtype)
    data[rng.random(data.shape) < 0.002] = np.nan
    data[1, 40] = np.nan
    sources = [{"x": 25, "y": 30}, {"x": 56, "y": 27}, {"x": 76, "y": 57}, {"x": -3, "y": 10}]
    content = {
        "input": {"gain": 1.0},
        "sources": [{"name": str(index)} | each for index, each in enumerate(sources)],
        "center": {"fit_box": 15, "search_box": 11},
        "apertures": [{"radius": [3, 4, 6.5]}],
        "calibrate": {"nan": nan},
    }

    def measured(skies, *bounds):
        made = plan(tsogrid.open_frames(data), tsogrid.Config.from_mapping(content | {"sky": skies}))
        parts = [made.measure(*each) for each in bounds]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    skies = [[*model, ring] for model in models for ring in RINGS]
    together = measured(skies, (0, 3))
    assert np.isfinite(together["flux"]).any(axis=(0, 2, 3))[0]
    blocks = measured(skies, (0, 1), (1, 3))
    for name, values in together.items():
        assert values.tobytes() == blocks[name].tobytes(), name
    for index, sky in enumerate(skies):
        for name, values in measured([sky], (0, 3)).items():
            if name.startswith(("sky", "flux")):
                np.testing.assert_array_equal(together[name][..., index], values[..., 0], err_msg=f"{name} {sky}")
