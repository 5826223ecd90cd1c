"""``tsogrid detrend``: words, a table, and one message for what cannot be."""

import numpy as np
import pytest
from astropy.table import QTable, Table

import tsogrid as package
from tsogrid.cli.main import main
from tsogrid.simulate import simulate_exposure

FRAMES = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of sixty frames, and what went into them."""
    folder = tmp_path_factory.mktemp("detrended")
    truth = simulate_exposure(
        folder, name="d", integrations=FRAMES, segments=1, shape=(32, 48), x=20.2, y=15.4, amplifiers=1, flux=2e6,
        depth=0.02, bad_pixel_fraction=0, bad_frames=[7], seed=3,
    )  # fmt: skip
    settings = {
        "center": {"search_box": 11, "fit_box": 9},
        "sky": [{"method": "annulus", "inner": 7, "outer": 12}],
        "cluster": {"kind": "none"},
    }
    store = folder / "d.zarr"
    content = {"input": {"files": truth.files}, "output": {"store": str(store)}, **settings}
    package.run(package.Config.from_mapping(content, where="here"))
    return store, truth


def test_words_and_a_table(tsogrid, here, made):
    store, truth = made
    transit = f"{truth.mid_time!r},{truth.transit_duration!r}"
    output = here / "t.ecsv"
    outcome = tsogrid("detrend", store, "--regressors", "x,y", "--transit", transit, "--output", output)
    assert (outcome.status, outcome.err) == (0, "")
    assert "regressors: time, x, y" in outcome.out
    assert "depth: " in outcome.out
    table = QTable.read(output)
    assert len(table) == FRAMES
    assert {"time", "flux", "flux_err", "baseline", "part_x", "part_time", "used"} <= set(table.colnames)
    assert table["time"].unit == "d"
    assert np.flatnonzero(np.isnan(table["flux"])).tolist() == [7]
    numbers = table.meta["detrending"]
    assert abs(numbers["depth"] - truth.depth) < 5 * numbers["depth_err"]
    assert table.meta["coefficients"]["x"]["per"] == "pixel"
    curve = package.open_result(store).tso.detrend(transit=(truth.mid_time, truth.transit_duration))
    np.testing.assert_allclose(table["flux"].value, curve["flux"], rtol=1e-12)
    assert tsogrid("detrend", store, "--transit", transit, "--mask", "--bic", "--red-noise", "--ramp").status == 0
    assert tsogrid("detrend", store, "--output", here / "t.csv", "--regressors", "none", "--order", "0").status == 0
    assert len(Table.read(here / "t.csv")) == FRAMES


def test_nothing_known_of_a_transit_is_said(tsogrid, made):
    outcome = tsogrid("detrend", made[0])
    assert outcome.status == 0
    assert "warning: detrend: nothing is known of a transit" in outcome.err
    assert "(x, y left out)" in outcome.err
    assert tsogrid("detrend", made[0], "--transit", "none").err == ""


def test_a_light_curve_is_drawn(made):
    import matplotlib

    matplotlib.use("Agg")
    store, truth = made
    curve = package.open_result(store).tso.detrend(transit=(truth.mid_time, truth.transit_duration))
    axes = curve.tso.plot.light_curve(model=curve["transit"])
    assert axes.get_ylabel() == "relative flux, detrended"
    assert "detrend" in repr(curve.tso)
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--regressors", "focus", "--transit", "none"], ["expected one of x, y", "'focus'"]),
        (["--regressors", "flux", "--transit", "none"], ["take the transit off"]),
        (["--transit", "2450000,0.1"], ["expected frames in it"]),
        (["--table", "none.csv", "--transit", "none"], ["none.csv", "no such file"]),
        (["--aperture", "9"], ["9"]),
        (["--step", "3", "--transit", "none"], ["steps"]),
    ],
)
def test_what_is_not_there(refused, made, options, words):
    refused("detrend", made[0], *options, status=2, words=words)


def test_wrong_usage(here, made, capsys):
    for options in (["--transit", "soon"], ["--output", "t.xls"], ["--order", "9"]):
        with pytest.raises(SystemExit) as left:
            main(["detrend", str(made[0]), *options])
        assert left.value.code == 2
        assert "Error" in capsys.readouterr().err
