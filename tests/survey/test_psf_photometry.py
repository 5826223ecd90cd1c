"""Profile photometry against truth, against photutils, and on images that are hardly any."""

import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.psf import MoffatPSF, PSFPhotometry

from tests.survey.moffat_fields import field, matched, star
from tsogrid.errors import ConfigError
from tsogrid.flags import PsfFlag
from tsogrid.survey.psf_frame import PsfSettings
from tsogrid.survey.psf_photometry import photometry
from tsogrid.survey.source_table import COLUMNS, consolidate

NO_COLUMNS = PsfSettings(bad_columns=())
KINDS = {
    "round": ({}, NO_COLUMNS),
    "long": ({"axis_ratio": 0.8}, PsfSettings(fittype="ellip", bad_columns=())),
    "slope": ({"slope": 120.0, "fwhm": 6.5, "alpha": 2.8}, NO_COLUMNS),
    "rectangular": ({"shape": (200, 330), "sky": 60.0, "read_noise": 5.0}, NO_COLUMNS),
    "close and unequal": ({"apart": 0.9, "ratio": 0.35}, NO_COLUMNS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_star_is_found_once_with_its_flux_and_error(kind):
    options, settings = KINDS[kind]
    bias, weight, pulls, pairs = [], [], [], []
    for seed in range(2):
        data, stars = field(seed, **options)
        table = photometry(data, settings=settings)
        rows, more = matched(table.rows, stars)
        assert more == 0
        errors = rows[["x_err", "y_err", "flux_err"]].to_numpy()
        assert (errors > 0).all()
        off = rows[["x_fit", "y_fit", "flux_psf"]].to_numpy() - stars[:, :3]
        pulls.extend((off / errors)[:, 2])
        lonely = stars[:, 3] < 0
        bias.extend((off[:, 2] / stars[:, 2])[lonely])
        weight.extend((stars[:, 2] / errors[:, 2])[lonely] ** 2)
        pairs.extend((off[:, 2] / stars[:, 2])[~lonely])
    assert abs(np.average(bias, weights=weight)) < 0.003
    assert abs(np.mean(pairs)) < 0.02
    assert np.abs(pairs).max() < 0.06
    assert 0.6 < 1.4826 * np.median(np.abs(pulls)) < 1.6  # of 26 stars; benchmarks/psf_accuracy.py has hundreds
    assert np.abs(pulls).max() < 6


@pytest.mark.parametrize("ratio", [0.8, 0.7])
def test_a_round_profile_of_stars_that_are_long_makes_no_stars_of_what_it_leaves(ratio):
    for seed in range(3):
        data, stars = field(seed, axis_ratio=ratio, pairs=1)
        rows, more = matched(photometry(data, settings=NO_COLUMNS).rows, stars)  # each star is there
        assert more == 0
        lonely = stars[:, 3] < 0
        assert abs(np.median(rows["flux_psf"].to_numpy()[lonely] / stars[lonely, 2]) - 1) < 0.03


def test_same_numbers_as_photutils_with_the_same_profile():
    data, stars = field(5, pairs=0, read_noise=2.0)
    table = photometry(data, settings=NO_COLUMNS)
    gamma, alpha = table.psf.axes[0], table.psf.alpha
    model = MoffatPSF(alpha=gamma, beta=alpha)
    rows, _ = matched(table.rows, stars)
    sky = np.median(rows["local_bkg"])
    start = QTable({"x": rows["x_fit"].to_numpy(), "y": rows["y_fit"].to_numpy(), "flux": rows["flux_psf"].to_numpy()})
    peer = PSFPhotometry(model, (15, 15), aperture_radius=8)(
        data - sky, error=np.sqrt(np.maximum(data, 1)), init_params=start
    )
    ratio = rows["flux_psf"].to_numpy() / np.asarray(peer["flux_fit"])
    # Errors that follow the noisy pixels take about a thousandth off the fainter stars.
    assert np.abs(ratio - 1).max() < 0.004
    assert np.median(np.abs(ratio - 1)) < 1.5e-3
    assert rows["flux_err"].to_numpy() == pytest.approx(np.asarray(peer["flux_err"]), rel=0.25)


@settings(max_examples=3, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.sampled_from([0.5, 2.0, 8.0]))
def test_whole_pixels_and_units_change_nothing(right, down, unit):
    data, _ = field(11, shape=(150, 150), lonely=3, pairs=1)
    here = photometry(data, settings=PsfSettings(bad_columns=(), border=20)).rows
    moved = np.roll(data, (down, right), (0, 1)) * unit
    there = photometry(moved, settings=PsfSettings(bad_columns=(), border=20, gain=1 / unit)).rows
    assert len(here) == len(there)
    assert there["x_fit"].to_numpy() - right == pytest.approx(here["x_fit"].to_numpy(), abs=0.02)
    assert there["y_fit"].to_numpy() - down == pytest.approx(here["y_fit"].to_numpy(), abs=0.02)
    assert there["flux_psf"].to_numpy() / unit == pytest.approx(here["flux_psf"].to_numpy(), rel=0.01)


def test_a_turned_image_has_the_same_stars():
    data, _ = field(3, axis_ratio=0.7, shape=(200, 200), lonely=5, pairs=1)
    settings = PsfSettings(fittype="ellip", bad_columns=())
    here, there = photometry(data, settings=settings), photometry(data.T, settings=settings)
    assert there.rows["x_fit"].to_numpy() == pytest.approx(here.rows["y_fit"].to_numpy(), abs=1e-3)
    assert there.rows["flux_psf"].to_numpy() == pytest.approx(here.rows["flux_psf"].to_numpy(), rel=1e-3)
    assert here.psf.axes[2] + there.psf.axes[2] == pytest.approx(np.pi / 2, abs=1e-3)


@pytest.mark.parametrize(
    "data",
    [
        np.full((90, 90), np.nan),
        np.zeros((90, 90)),
        np.full((90, 90), 7.0),
        np.ones((1, 200)),
        np.ones((3, 3)),
        np.zeros((0, 9)),
    ],
    ids=["NaN", "zero", "constant", "row", "tiny", "nothing"],
)
def test_an_image_without_stars_is_a_table_without_rows(data):
    table = photometry(data)
    assert list(table.rows.columns) == list(COLUMNS)
    assert len(table.rows) == len(consolidate(table)) == 0


def test_noise_alone_has_no_stars():
    table = photometry(np.random.default_rng(0).normal(300, 20, (150, 150)))
    assert len(table.rows) == 0


def test_one_star_tells_its_own_profile():
    data = 300 + star((90, 90), 41.3, 44.8, 2e5, (5, 5), 0, 3)
    data = np.random.default_rng(2).poisson(data) + 0.0
    (row,) = photometry(data, settings=NO_COLUMNS).rows.to_dict("records")
    assert row["flux_psf"] == pytest.approx(2e5, rel=0.02)
    assert (row["x_fit"], row["y_fit"]) == pytest.approx((41.3, 44.8), abs=0.03)


def test_bad_saturated_and_hit_pixels_are_left_out_and_told():
    data, stars = field(7)
    x, y, _, _ = stars[np.argsort(-stars[:9, 2])[0]]
    data[int(y) + 4, int(x) - 20 : int(x) + 20] += 9000.0  # a cosmic ray beside the brightest star
    level = np.sort(data[np.rint(stars[:, 1]).astype(int), np.rint(stars[:, 0]).astype(int)])[-2]
    full = np.minimum(data, level)
    bad = np.random.default_rng(1).random(data.shape) < 0.02
    rows, more = matched(photometry(full, mask=bad, settings=NO_COLUMNS).rows, stars)
    assert more == 0
    flags = rows["flags"].to_numpy()
    assert (flags & PsfFlag.PIXELS_MISSING).astype(bool).all()
    assert (flags & PsfFlag.COSMIC_RAY).any()
    assert (flags & PsfFlag.SATURATED).any()
    assert rows["flux_psf"].to_numpy() == pytest.approx(stars[:, 2], rel=0.06)


def test_errors_of_the_pixels_do_not_bias():
    data, stars = field(4, flux=(1e4, 1e5))
    rows, _ = matched(photometry(data, np.sqrt(np.maximum(data, 1) + 10.7**2), settings=NO_COLUMNS).rows, stars)
    other, _ = matched(photometry(data, settings=NO_COLUMNS).rows, stars)
    assert rows["flux_psf"].to_numpy() == pytest.approx(other["flux_psf"].to_numpy(), rel=0.002)
    assert rows["flux_err"].to_numpy() == pytest.approx(other["flux_err"].to_numpy(), rel=0.05)


def test_both_modes_find_the_same_stars():
    data, stars = field(8)
    rows, more = matched(photometry(data, settings=PsfSettings(mode="new", bad_columns=())).rows, stars)
    assert more == 0
    assert rows["flux_psf"].to_numpy() == pytest.approx(stars[:, 2], rel=0.05)


def test_a_group_is_one_row_with_the_sum():
    data, _ = field(9)
    table = photometry(data, settings=NO_COLUMNS)
    whole = consolidate(table)
    assert len(whole) == table.rows["group_id"].nunique() == 11
    pair = table.rows[table.rows["group_size"] == 2].iloc[:2]
    row = whole.set_index("group_id").loc[pair["group_id"].iloc[0]]
    assert row["flux_psf"] == pytest.approx(pair["flux_psf"].sum())
    assert row["x_fit"] == pytest.approx(np.average(pair["x_fit"], weights=pair["flux_psf"]))
    # Two that overlap take from each other: their sum is better known than if they did not.
    assert row["flux_err"] < np.hypot(*pair["flux_err"])


def test_refuses_what_cannot_be_meant():
    with pytest.raises(ConfigError, match="fittype"):
        PsfSettings(fittype="square")
    with pytest.raises(ConfigError, match="thresh"):
        PsfSettings(thresh=0)
    with pytest.raises(ConfigError, match="image"):
        photometry(np.zeros((2, 3, 4)))
    with pytest.raises(ConfigError, match="mask"):
        photometry(np.zeros((30, 30)), mask=np.zeros((3, 3)))
