"""Planned positions that move: drift tables, the motion of another result, and where the apertures then stand."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

import tsogrid
from tests.field.conftest import config_of
from tsogrid.config import Drift
from tsogrid.engine.run import prepared
from tsogrid.errors import ConfigError, IdentityError, InputError, TsogridWarning
from tsogrid.export import export
from tsogrid.field.drift import motion, read_drift
from tsogrid.flags import ApertureFlag

SHIFTS = np.array([(0.0, 0.0), (1.25, -0.5), (-2.0, 3.0), (14.0, -9.0), (0.3, 0.2)])
PLACES = np.array((30.0, 24.0)) + SHIFTS
FIXED = {"method": "none", "position": "fixed"}


@pytest.fixture
def table(tmp_path):
    """Write a drift table, ``columns`` replacing those of SHIFTS."""

    def write(name="drift.csv", **columns):
        content = {"Index": np.arange(5), "File": ["x"] * 5, "dx": SHIFTS[:, 0], "dy": SHIFTS[:, 1]} | columns
        Table({key: value for key, value in content.items() if value is not None}).write(
            tmp_path / name, format="ascii.ecsv" if name.endswith("ecsv") else "ascii.csv", overwrite=True
        )
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("name", ["drift.csv", "drift.ecsv"])
def test_a_table_is_read_whatever_the_order_of_its_rows_and_the_case_of_its_columns(table, name):
    order = [3, 0, 4, 2, 1]
    path = table(
        name, Index=None, dx=None, dy=None, INDEX=np.arange(5)[order], DX=SHIFTS[order, 0], Dy=SHIFTS[order, 1]
    )  # fmt: skip
    np.testing.assert_array_equal(read_drift(Drift(file=path), 5), SHIFTS)
    np.testing.assert_array_equal(read_drift(Drift(file=path, scale=0.5), 5), SHIFTS / 2)
    np.testing.assert_array_equal(read_drift(Drift(file=path, scale=-1), 5), -SHIFTS)


def test_the_drift_file_of_tshirt(tmp_path):
    (tmp_path / "a_drift.csv").write_text("Index,File,dx,dy\n0,a_000.fits,-0.2167,0.476\n1,a_001.fits,0.1652,0.0879\n")
    shifts = read_drift(Drift(file=str(tmp_path / "a_drift.csv")), 2)
    assert shifts.tolist() == [[-0.2167, 0.476], [0.1652, 0.0879]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dx": None}, "expected columns Index, dx, dy .*found Index, File, dy; missing: dx"),
        ({"Index": [0, 1, 2, 3, 5]}, r"expected Index 0 … 4, one row for each of 5 frames .*found 0 … 5"),
        ({"Index": [0, 1, 1, 3, 4]}, "expected one row a frame .*found several for Index 1"),
        ({"Index": [0, 1, 1.5, 3, 4]}, "expected whole numbers in Index"),
        ({"dx": [0.0, np.nan, 1.0, np.inf, 2.0]}, r"expected dx and dy for each of 5 frames .*found none for Index 1, 3\."),
        ({"dy": ["up"] * 5}, "expected numbers in Index, dx and dy"),
    ],
)
def test_tables_that_are_refused(table, columns, message):
    with pytest.raises(ConfigError, match=message):
        read_drift(Drift(file=table(**columns)), 5)


def test_frames_without_a_row_are_named(table):
    with pytest.raises(ConfigError, match=r"each of 12 frames .*found none for Index 5, 6, 7, 8, 9 …\. Add the rows"):
        read_drift(Drift(file=table()), 12)
    with pytest.raises(ConfigError, match="expected Index 0 … 2"):
        read_drift(Drift(file=table()), 3)
    with pytest.raises(ConfigError, match=r"gone\.csv: no such file \(center\.drift\)"):
        read_drift(Drift(file="gone.csv"), 3)


@given(
    known=st.lists(st.booleans(), min_size=1, max_size=30),
    first=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    seed=st.integers(0, 99),
)
def test_motion_since_the_first_known_place(known, first, seed):
    known = np.array(known)
    places = np.random.default_rng(seed).normal(0, 3, (known.size, 2)) + first
    places[~known] = np.nan
    shifts, lost = motion(places)
    assert lost == (~known).sum()
    if not known.any():
        assert np.isnan(shifts).all()
        return
    start = int(np.argmax(known))
    np.testing.assert_array_equal(shifts[known], places[known] - places[start])
    assert not shifts[: start + 1].any()
    for frame in np.flatnonzero(~known[1:]) + 1:
        np.testing.assert_array_equal(shifts[frame], shifts[frame - 1])


def test_fixed_apertures_follow_the_drift(night, table):
    config = config_of(night(PLACES), center=FIXED | {"drift": {"file": table()}})
    frames, plan = prepared(config)
    np.testing.assert_array_equal(plan.sources.planned[:, 0], PLACES)
    result = tsogrid.measure(frames, config).compute()
    np.testing.assert_array_equal(result["x"][:, 0], PLACES[:, 0])
    np.testing.assert_array_equal(result["y"][:, 0], PLACES[:, 1])
    assert (abs(result["flux"][:, 0, 0, 0] / (2 * np.pi * 1.6**2 * 9000) - 1) < 0.02).all()
    for block in (1, 2):
        again = tsogrid.measure(frames, config, block=block).compute()
        for name in ("flux", "flux_err", "sky_level"):
            np.testing.assert_array_equal(again[name], result[name])


def test_centring_begins_at_the_drift(night, table):
    """Frame 3 lies beyond the search box of the place that the source is given with."""
    folder = night(PLACES)
    lost = tsogrid.measure(str(folder), config_of(folder)).compute()
    found = tsogrid.measure(str(folder), config_of(folder, center={"drift": {"file": table()}})).compute()
    assert not abs(lost["x"][3, 0] - PLACES[3, 0]) < 1
    np.testing.assert_allclose(found["x"][:, 0], PLACES[:, 0], atol=0.02)
    np.testing.assert_allclose(found["y"][:, 0], PLACES[:, 1], atol=0.02)


def test_several_sources_move_together(night, table):
    sources = [{"name": "a", "x": 30, "y": 24}, {"name": "b", "x": 40, "y": 30}]
    _, plan = prepared(config_of(night(PLACES), sources=sources, center=FIXED | {"drift": {"file": table(), "scale": 2}}))
    np.testing.assert_array_equal(plan.sources.planned, np.array([(30, 24), (40, 30)])[None] + 2 * SHIFTS[:, None])


def test_a_drift_far_off_the_frame_costs_that_frame_only(night, table):
    shifts = np.where(np.arange(5)[:, None] == 3, 1e9, SHIFTS)
    path = table(dx=shifts[:, 0], dy=shifts[:, 1])
    folder = night(np.where(np.arange(5)[:, None] == 3, 30.0, PLACES))
    config = config_of(folder, center=FIXED | {"drift": {"file": path}})
    _, plan = prepared(config)
    near = np.delete(PLACES, 3, 0)
    window = plan.windows[0]
    assert near[:, 0].min() - 15 < window.x0 < window.x1 < near[:, 0].max() + 15  # no pixel is read for that frame's sake
    result = tsogrid.measure(str(folder), config).compute()
    assert np.isfinite(result["flux"][:, 0, 0, 0]).values.tolist() == [True, True, True, False, True]
    everywhere = table("far.csv", dx=np.full(5, 1e9), dy=np.zeros(5))
    with pytest.raises(InputError, match="lies outside every frame"):
        prepared(config_of(folder, center=FIXED | {"drift": {"file": everywhere}}))


@pytest.mark.parametrize("center", [FIXED, {}, {"predict": "center-of-mass"}, {"fallback": "planned", "search_box": 7}])
def test_windows_that_ignore_far_frames_change_no_bit(night, table, center):
    far = np.array([(0, 0), (22, 0), (45, 1), (400, -3), (-70, 60)], float)
    drift = {"drift": {"file": table(dx=far[:, 0], dy=far[:, 1])}}
    config = config_of(night(np.array((30.0, 24.0)) + far), center=center | drift)
    _, plan = prepared(config)
    whole = config.model_copy(update={"photometry": config.photometry.model_copy(update={"off_frame": "frame"})})
    frames, wide = prepared(whole)
    assert wide.windows[0].pixels == frames.sizes["y"] * frames.sizes["x"] > plan.windows[0].pixels
    narrow, full = (tsogrid.measure(frames, each).compute() for each in (config, whole))
    inside = (full["aperture_flags"].values & (ApertureFlag.OFF_FRAME | ApertureFlag.WHOLE_FRAME)) == 0
    for name in ("x", "y", "flags"):
        np.testing.assert_array_equal(narrow[name], full[name])
    np.testing.assert_array_equal(narrow["flux"].values[inside], full["flux"].values[inside])
    assert inside.sum() >= 2


@pytest.fixture
def measured(night, tmp_path):
    """A store of two sources, the second being the star; frame 2 is not found."""
    places = PLACES.copy()
    places[3] = (31, 25)
    folder = night(places)
    with fits.open(folder / "f02.fits", mode="update") as units:
        units[0].data[:] = np.nan
    config = config_of(
        folder,
        sources=[{"name": "field", "x": 6, "y": 6, "role": "reference"}, {"name": "star", "x": 30, "y": 24}],
        output={"store": str(tmp_path / "long.zarr")},
    )
    return tsogrid.run(config).load(), tmp_path / "long.zarr"


def test_the_motion_of_another_result_is_taken(measured):
    result, path = measured
    x = result["x"].sel(source="star")
    for source in ("star", 1, "1"):
        with pytest.warns(TsogridWarning, match="has no place in 1 of 5 frames"):
            shifts = read_drift(Drift(file=str(path), scale=0.5, source=source), 5)
        np.testing.assert_array_equal(shifts[[0, 1, 3, 4], 0], 0.5 * (x - x[0])[[0, 1, 3, 4]])
        np.testing.assert_array_equal(shifts[2], shifts[1])
    for source in ("other", 2, "2", -1):
        with pytest.raises(ConfigError, match=r"expected a source of field, star, or 0 … 1 \(center\.drift\.source\)"):
            read_drift(Drift(file=str(path), source=source), 5)
    with pytest.raises(ConfigError, match=r"expected positions for the 4 frames that are measured, found 5 \(center\.drift"):
        read_drift(Drift(file=str(path)), 4)


def test_the_motion_in_a_file_of_tshirt_is_taken(tmp_path):
    centroids = np.array((30.0, 24.0)) + np.stack([SHIFTS, -SHIFTS], axis=1)
    units = [fits.PrimaryHDU(np.zeros((5, 2))), fits.ImageHDU(centroids, name="CENTROIDS")]
    fits.HDUList(units).writeto(tmp_path / "phot.fits")
    np.testing.assert_allclose(read_drift(Drift(file=str(tmp_path / "phot.fits"), source=1), 5), -SHIFTS, atol=1e-12)
    with pytest.raises(ConfigError, match=r"expected a source of 0 … 1 \(center\.drift\.source\), found 'star'"):
        read_drift(Drift(file=str(tmp_path / "phot.fits"), source="star"), 5)


@pytest.mark.parametrize("to", ["csv", "ecsv"])
def test_a_result_gives_a_drift_file(measured, tmp_path, to):
    result, path = measured
    written = export(result, tmp_path / f"moves.{to}", to, "drift")
    table = Table.read(written, format=f"ascii.{to}", comment="#") if to == "csv" else Table.read(written)
    assert table.colnames == ["Index", "File", "dx", "dy"]
    assert table["File"].tolist() == result["file"].values.tolist()
    assert "1 of 5, which take the place of the nearest earlier frame" in written.read_text()
    with pytest.warns(TsogridWarning):
        same = read_drift(Drift(file=str(path), source="star"), 5)
    np.testing.assert_array_equal(read_drift(Drift(file=str(written)), 5), same)


def test_a_result_without_a_place_gives_none(measured, tmp_path):
    result, _ = measured
    nowhere = result.assign(x=result["x"] * np.nan)
    with pytest.raises(InputError, match="expected a place of the source 'star' in some frame"):
        export(nowhere, tmp_path / "moves.csv", "csv", "drift")


def test_the_identity_knows_the_drift(night, table, tmp_path):
    folder, path, store = night(PLACES), table(), tmp_path / "a.zarr"

    def config():
        return config_of(folder, center=FIXED | {"drift": {"file": path}}, output={"store": str(store)})

    result = tsogrid.run(config()).load()
    Table({"Index": np.arange(5), "dx": SHIFTS[:, 0] + 0.5, "dy": SHIFTS[:, 1]}).write(path, overwrite=True)
    with pytest.raises(IdentityError, match="positions"):
        tsogrid.run(config())
    Table({"Index": np.arange(6), "dx": [*SHIFTS[:, 0], 0], "dy": [*SHIFTS[:, 1], 0]}).write(path, overwrite=True)
    header = fits.getheader(folder / "f00.fits")
    header["JD"] = 2450009.5
    fits.PrimaryHDU(fits.getdata(folder / "f00.fits"), header).writeto(folder / "f05.fits")
    longer = tsogrid.run(config(), mode="extend").load()
    np.testing.assert_array_equal(longer["flux"][:5], result["flux"])
    np.testing.assert_array_equal(longer["flux"][5], result["flux"][0])


def test_files_that_are_named_get_their_own_shifts(table):
    path = table(Index=[4, 0, 1, 2, 3], File=["e.fits", "a.fits", "b.fits", "c.fits", "d.fits"], dx=np.roll(SHIFTS[:, 0], 1),
                 dy=np.roll(SHIFTS[:, 1], 1))  # fmt: skip
    here = [f"{name}.fits" for name in "ebdac"]
    np.testing.assert_array_equal(read_drift(Drift(file=path), 5, here), SHIFTS[[4, 1, 3, 0, 2]])
    np.testing.assert_array_equal(read_drift(Drift(file=path), 5, ["z.fits", *here[1:]]), SHIFTS)
