"""The quietest aperture and sky is found and the choice explained; statistics and flags in tables."""

import numpy as np
import pytest
import xarray as xr

from tests.analysis.nights import night, wave
from tsogrid.analysis.choice import best, best_cell, score
from tsogrid.analysis.flag_table import flag_table
from tsogrid.analysis.stats import stats
from tsogrid.errors import ConfigError
from tsogrid.flags import ApertureFlag, SourceFlag


@pytest.fixture
def result():
    """Three apertures, two skies; the middle one over the second sky is the quietest."""
    made = night(240, (2e5, 2e5, 1e5, 1e5), apertures=3, skies=2, seed=1)
    extra = np.random.default_rng(2).standard_normal((240, 3, 2)) * np.array([[2, 1.5], [1, 0.0], [2, 1.8]])
    made["flux"].to_numpy()[:, 0] *= 1 + 0.004 * extra
    return made


def test_every_cell_has_its_scores(result):
    scores = score(result)
    assert scores["point_to_point"].dims == ("aperture", "sky")
    assert (scores["points"] == 240).all()
    assert float(scores["ratio"].isel(aperture=1, sky=1)) == pytest.approx(1, abs=0.15)
    assert float(scores["ratio"].max()) > 2
    assert scores.attrs["frames"] == 24
    assert score(result, timescale="10 min").attrs["frames"] == 8
    alone = score(result, relative=False)
    assert (alone["std"] > scores["std"]).all()  # clouds
    one = score(night(60, (1e5,)))
    assert dict(one.sizes) == {"aperture": 1, "sky": 1}
    assert best_cell(one)[:2] == (0, 0)


def test_the_best_is_taken_and_explained(result):
    curve = best(result)
    assert (curve["aperture"].item(), curve["sky"].item()) == ("r4", "rowamp16+annulus12-20-mean")
    assert curve["flux"].dims == ("time",)
    assert "3 of 3 reference stars" in curve.attrs["choice"]
    assert "the least clipped point-to-point scatter of 6" in curve.attrs["choice"]
    for by in ("mad", "std", "binned"):
        assert best(result, by=by)["flux"].dims == ("time",)
    with pytest.raises(ConfigError, match="clipped, point_to_point, mad"):
        best(result, by="colour")


def test_cosmic_rays_do_not_decide(result):
    result["flux"].to_numpy()[[30, 90], 0, 1, 1] *= 1.5
    curve = best(result)
    assert (curve["aperture"].item(), curve["sky"].item()) == ("r4", "rowamp16+annulus12-20-mean")
    other = best(result, by="point_to_point")
    assert (other["aperture"].item(), other["sky"].item()) != ("r4", "rowamp16+annulus12-20-mean")
    scores = score(result).isel(aperture=1, sky=1)
    assert float(scores["point_to_point"]) > 5 * float(scores["clipped"])


def test_red_noise_is_measured():
    red = score(night(600, (1e5, 1e5, 1e5), signals={0: wave(600, 0.01)}, seed=3), timescale="30 min")
    assert float(red["red"][0, 0]) == pytest.approx(0.01 / np.sqrt(2), rel=0.1)
    white = score(night(600, (1e5, 1e5, 1e5), seed=4), timescale="30 min")
    assert float(white["red"][0, 0]) < 0.3 * float(white["point_to_point"][0, 0])


def test_a_cell_with_few_points_is_not_the_best(result):
    result["flux"].to_numpy()[:120, 0, 1, 1] = np.nan
    curve = best(result)
    assert (curve["aperture"].item(), curve["sky"].item()) == ("r4", "annulus12-20-mean")
    result["flux"].to_numpy()[:, 0] = np.nan
    with pytest.raises(ConfigError, match="found none"):
        best(result)


def test_statistics(result):
    table = stats(result)
    assert table["sky"].tolist() == ["annulus12-20-mean", "rowamp16+annulus12-20-mean"]
    assert table["aperture"].tolist() == ["r4", "r4"]
    assert table["relative"].all()
    assert {"std", "mad", "point_to_point", "expected", "ratio", "binned_10", "binned_30"} <= set(table.columns)
    assert "binned_100" not in table
    row = table.iloc[1]
    assert row["binned_10"] == pytest.approx(row["expected"] / np.sqrt(10), rel=0.3)
    assert len(stats(result, "all", "all")) == 4 * 3 * 2
    assert stats(result, ["ref1"], [3, "r5"], 0)["aperture"].tolist() == ["r3", "r5"]
    assert not stats(result, relative=False)["relative"].any()
    result["flags"].to_numpy()[3:5, 0] = SourceFlag.CENTER_FAILED
    result["aperture_flags"].to_numpy()[4:8, 0, 1] = ApertureFlag.BAD_PIXEL
    result["flux"].to_numpy()[3, 0] = np.nan
    row = stats(result).iloc[1]
    assert (row["points"], row["flagged"]) == (239, 5)


def test_flags_are_counted(result):
    assert flag_table(result).empty
    result["flags"].to_numpy()[3:5, 0] |= SourceFlag.CENTER_FAILED
    result["flags"].to_numpy()[4, 0] |= SourceFlag.NO_DATA
    result["aperture_flags"].to_numpy()[4:10, 2, 1] = ApertureFlag.BAD_PIXEL
    table = flag_table(result.chunk(time=50))
    assert table.pop("meaning").tolist() == [
        "no finite pixel near the source",
        "the centre (fit or centre of mass) was not found",
        "at least one bad pixel inside the aperture",
    ]
    assert table.to_dict("records") == [
        {"source": "target", "aperture": "", "bit": 1, "flag": "no_data", "frames": 1, "percent": 100 / 240},
        {"source": "target", "aperture": "", "bit": 4, "flag": "center_failed", "frames": 2, "percent": 200 / 240},
        {"source": "ref2", "aperture": "r4", "bit": 1, "flag": "bad_pixel", "frames": 6, "percent": 2.5},
    ]
    assert flag_table(best(result))["source"].tolist() == ["target", "target"]
    with pytest.raises(ConfigError, match="neither"):
        flag_table(xr.Dataset())
