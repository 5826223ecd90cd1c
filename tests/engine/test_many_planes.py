"""Many skies and apertures in one run are the planes of as many separate runs, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

import tsogrid
from tests.engine.test_apertures import SHAPES, SKIES, frames

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
