"""Frames before and after the sky: the files are there, hold what was taken off, and what is left has no sky."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.engine.diagnostics import sky_frames
from tsogrid.engine.run import prepared
from tsogrid.errors import ConfigError
from tsogrid.simulate import simulate_night
from tsogrid.view.diagnostics import save_diagnostics

STARS = [(27.0, 23.0, 1e5), (44.0, 30.0, 5e4)]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    truth = simulate_night(folder, name="n", frames=3, shape=(60, 70), stars=STARS, drift=0.0, jitter=0.0, seed=4)
    return tsogrid.Config.from_mapping(
        {
            "input": {"files": list(truth.files), "gain": 1.0},
            "sources": [{"name": f"s{i}", "x": x, "y": y} for i, (x, y, _) in enumerate(STARS)],
            "center": {"search_box": 11, "fit_box": 11},
            "apertures": [{"radius": 4}],
            "sky": [
                {"inner": 8, "outer": 14},
                [{"method": "rowamp", "mask_radius": 10}, {"method": "colrow", "inner": 8, "outer": 14}],
            ],
            "output": {"store": str(folder / "n.zarr"), "diagnostics": [2, 0]},
            "cluster": {"kind": "none"},
        }
    )


def test_before_model_and_after(config, tmp_path):
    result = tsogrid.run(config)
    frames = sky_frames(prepared(config)[1], result, config.output.diagnostics)
    paths = save_diagnostics(frames, tmp_path / "n_diagnostics")
    assert [path.name for path in paths] == [
        "frame_000002.fits", "frame_000002.png", "frame_000000.fits", "frame_000000.png",
    ]  # fmt: skip
    with fits.open(paths[0]) as units:
        assert [unit.name for unit in units[1:]] == ["BEFORE", "MODEL0", "AFTER0", "MODEL1", "AFTER1"]
        assert units["MODEL1"].header["SKY"] == "rowamp10+colrow8-14-YX-x1y1"
        before = units["BEFORE"].data.astype(float)
        level = result.sky_level.values[2, 0, 0]
        assert units["MODEL0"].data[20, 20] == level
        for index in (0, 1):
            np.testing.assert_allclose(units[f"AFTER{index}"].data, before - units[f"MODEL{index}"].data, atol=1e-9)
            # what is left of the sky is far below what there was
            assert abs(np.median(units[f"AFTER{index}"].data[40:, :15])) < 0.1 * np.median(before[40:, :15])
    assert all(path.stat().st_size > 10000 for path in paths[1::2])


def test_a_frame_that_is_not_there(config):
    wrong = config.model_copy(update={"output": config.output.model_copy(update={"diagnostics": [7]})})
    with pytest.raises(ConfigError, match=r"expected frames 0 … 2, found 7"):
        prepared(wrong)
