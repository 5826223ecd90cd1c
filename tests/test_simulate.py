"""The simulator against analytic truth, and its files as astropy and the truth object read them."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad

from tsogrid.errors import ConfigError
from tsogrid.simulate import NightTruth, Truth, simulate_exposure, simulate_night, simulate_stars, transit_shape
from tsogrid.simulate.signal import amplifier_noise, drift_path, gaussian_profile, star_image

SMALL = {"shape": (24, 64), "integrations": 20, "bad_pixel_fraction": 0.0}


def plane(truth: Truth, name: str) -> np.ndarray:
    return np.concatenate([fits.getdata(file, name) for file in truth.files])


# The ingredients


def test_transit_is_zero_outside_one_inside_and_half_covered_near_second_contact():
    time = np.array([-0.51, -0.5, 0.0, 0.3, 0.5, 0.7])
    assert transit_shape(time, 0.0, 1.0).tolist() == [0, 0, 1, 1, 0, 0]
    # A planet whose centre is on the limb of a much larger star is half covered by it, but for the limb's curvature.
    at_limb = 0.5 * np.sqrt(1 - 0.3**2) / np.sqrt(1.001**2 - 0.3**2)
    assert transit_shape(at_limb, 0.0, 1.0, ratio=0.001) == pytest.approx(0.5, abs=1e-3)


def test_transit_overlap_is_that_of_two_discs():
    ratio, impact = 0.3, 0.2
    x, y = np.meshgrid(*2 * [(np.arange(2000) + 0.5) / 1000 * ratio - ratio])
    planet = np.hypot(x, y) < ratio
    for time in (0.36, 0.40, 0.45):
        along = 2 * time * np.sqrt((1 + ratio) ** 2 - impact**2)
        covered = np.mean(np.hypot(x + along, y + impact)[planet] < 1)
        assert transit_shape(time, 0.0, 1.0, ratio=ratio, impact=impact) == pytest.approx(covered, abs=2e-4)


@given(
    st.floats(-0.6, 0.6), st.floats(0.001, 0.5), st.floats(0, 0.49), st.floats(0.01, 10), st.floats(-1e3, 1e3)
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_transit_shape_is_bounded_and_symmetric(phase, ratio, impact, duration, mid_time):
    before, after = transit_shape(
        [mid_time - phase * duration, mid_time + phase * duration], mid_time, duration, ratio=ratio, impact=impact
    )
    assert 0 <= before <= 1
    assert before == pytest.approx(after, abs=1e-4)


@given(st.floats(28, 32), st.floats(28, 32), st.floats(1.8, 4))
@settings(max_examples=25, deadline=None)
def test_star_is_integrated_over_pixels_and_keeps_its_centre(x, y, fwhm):
    image = star_image((61, 61), x, y, fwhm, wings=0)
    alpha = fwhm / (2 * np.sqrt(2**0.25 - 1))
    # Outside the image (more than 28 pixels away) there is less than outside that circle.
    assert -1e-6 <= 1 - image.sum() < (1 + 28**2 / alpha**2) ** -3 + 1e-6
    assert np.sum(image * np.arange(61)) / image.sum() == pytest.approx(x, abs=5e-4)
    assert np.sum(image.T * np.arange(61)) / image.sum() == pytest.approx(y, abs=5e-4)


def test_star_pixels_agree_with_quadrature_and_are_cut_by_the_edge_alone():
    x, y, fwhm = 20.3, 17.8, 2.0
    image = star_image((40, 45), x, y, fwhm)
    alpha, wide = fwhm / (2 * np.sqrt(2**0.25 - 1)), 3 * fwhm

    def profile(py, px):
        squared = (px - x) ** 2 + (py - y) ** 2
        core = 3 / (np.pi * alpha**2) * (1 + squared / alpha**2) ** -4
        return 0.97 * core + 0.03 / (np.pi * wide**2) * (1 + squared / wide**2) ** -2

    for row, column in ((18, 20), (17, 21), (14, 20), (18, 38), (2, 3)):
        truth = dblquad(profile, column - 0.5, column + 0.5, row - 0.5, row + 0.5, epsabs=1e-12)[0]
        assert image[row, column] == pytest.approx(truth, rel=1e-3 if abs(column - x) > 8 else 1e-6)
    np.testing.assert_allclose(star_image((20, 20), x - 15, y - 10, fwhm), image[10:30, 15:35], rtol=1e-11)
    assert star_image((20, 20), -300.0, 5.0, fwhm).sum() == 0


def test_gaussian_profile_has_unit_area_and_its_own_moments():
    profile = gaussian_profile(41, [19.8, 20.3], 2.0)
    position = np.arange(41)
    np.testing.assert_allclose(profile.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(profile @ position, [19.8, 20.3], rtol=1e-9)
    np.testing.assert_allclose(profile @ (position - 19.8) ** 2, [4 + 1 / 12, 4 + 1 / 12 + 0.25], rtol=1e-6)


def test_amplifier_noise_has_unit_variance_and_the_declared_common_part():
    rng = np.random.default_rng(5)
    for fraction in (0.0, 0.4, 1.0):
        noise = np.stack([amplifier_noise((32, 64), 4, fraction, rng) for _ in range(400)])
        amplifier = noise.reshape(400, 32, 4, 16).transpose(2, 0, 1, 3).astype(np.float64)
        assert np.mean(noise**2, dtype=np.float64) == pytest.approx(1, abs=0.07)
        # Amplifiers of the same direction, tick by tick; of opposite directions after turning one round.
        assert np.mean(amplifier[0] * amplifier[2]) == pytest.approx(fraction, abs=0.07)
        assert np.mean(amplifier[0] * amplifier[1][:, :, ::-1]) == pytest.approx(fraction, abs=0.07)
    np.testing.assert_array_equal(amplifier[0], amplifier[2])
    np.testing.assert_array_equal(amplifier[0], amplifier[3][:, :, ::-1])


def test_amplifier_noise_falls_as_one_over_frequency():
    rng = np.random.default_rng(6)
    width = 1000  # one long row: no overhead inside the series
    power = np.mean(
        [np.abs(np.fft.rfft(amplifier_noise((1, width), 1, 0, rng)[0] * np.hanning(width))) ** 2 for _ in range(400)],
        axis=0,
    )
    frequency = np.arange(10, 300)
    slope = np.polyfit(np.log(frequency), np.log(power[10:300]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


def test_drift_path_goes_the_declared_way():
    path = drift_path(1001, 0.5, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(path[-1] - path[0], [0.5, -0.3])
    np.testing.assert_allclose(path[500], 0, atol=1e-15)
    assert np.std(drift_path(4000, 0.0, 0.02, np.random.default_rng(0))) == pytest.approx(0.02, rel=0.05)


# The exposure


def test_pulls_of_pixels_and_of_sums_have_unit_width(tmp_path):
    truth = simulate_exposure(
        tmp_path, integrations=150, shape=(24, 64), pink_noise=0, bad_pixel_fraction=0, wings=0, flux=2e5, sky=9, hours=1
    )
    science, scale = plane(truth, "SCI").astype(np.float64), truth.electrons_per_unit
    variance = (plane(truth, "VAR_POISSON") + plane(truth, "VAR_RNOISE")).astype(np.float64)
    expected = np.stack([
        9 + flux * scale * star_image((24, 64), x, y, 2.5, wings=0)
        for flux, x, y in zip(truth.flux, truth.x, truth.y, strict=True)
    ]) / scale  # fmt: skip
    pulls = (science - expected) / np.sqrt(variance)
    assert np.mean(pulls) == pytest.approx(0, abs=4 / np.sqrt(pulls.size))
    assert np.std(pulls) == pytest.approx(1, abs=4 / np.sqrt(2 * pulls.size))
    # The variances that the truth names add up to those of the file.
    flat_sum = np.sum(variance, axis=(1, 2))
    np.testing.assert_allclose(flat_sum, truth.photon_variance + 24 * 64 * truth.pixel_variance, rtol=2e-3)
    error = plane(truth, "ERR")
    np.testing.assert_allclose(error**2, variance + plane(truth, "VAR_FLAT"), rtol=1e-5)
    assert np.all(error**2 > variance * (1 - 1e-6))


def test_poisson_variance_from_the_data_follows_the_noise(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL, poisson_variance="data", pink_noise=0)
    scale = truth.electrons_per_unit
    np.testing.assert_allclose(plane(truth, "VAR_POISSON"), np.maximum(plane(truth, "SCI"), 0) / scale, rtol=1e-6)


def test_depth_is_linear_in_the_shape(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL, depth=0.013)
    slope, level = np.polyfit(truth.shape, truth.flux / truth.flux[0], 1)
    assert (slope, level) == (pytest.approx(-0.013, rel=1e-10), pytest.approx(1))
    np.testing.assert_allclose(transit_shape(truth.time, truth.mid_time, truth.transit_duration), truth.shape, atol=1e-12)
    assert truth.shape[0] == truth.shape[-1] == 0
    assert truth.shape.max() == 1
    np.testing.assert_allclose(truth.photon_variance, truth.flux / truth.electrons_per_unit)


def test_frames_without_noise_hold_the_flux_the_rows_and_the_drift(tmp_path):
    truth = simulate_exposure(
        tmp_path, shape=(96, 160), integrations=6, amplifiers=2, flux=1e9, wings=0, fwhm=3, sky=0, read_noise=0,
        pink_noise=0, bad_pixel_fraction=0, drift=0.4, x=80.2, y=47.6,
    )  # fmt: skip
    science = plane(truth, "SCI").astype(np.float64)
    total = science.sum(axis=(1, 2))
    np.testing.assert_allclose(total, truth.flux, rtol=2e-4)
    np.testing.assert_allclose(np.sum(science * np.arange(160), axis=(1, 2)) / total, truth.x, atol=5e-3)
    np.testing.assert_allclose(np.sum(science.transpose(0, 2, 1) * np.arange(96), axis=(1, 2)) / total, truth.y, atol=5e-3)


def test_row_offsets_are_the_means_of_the_rows(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL, flux=0, sky=0, read_noise=0, pink_noise=12, common_fraction=0.3)
    rows = plane(truth, "SCI").reshape(20, 24, 4, 16).mean(axis=-1)
    np.testing.assert_allclose(rows, truth.row_offsets, rtol=1e-4, atol=1e-5)
    assert np.std(plane(truth, "SCI")) * truth.electrons_per_unit == pytest.approx(12, rel=0.2)
    assert truth.amplifier_bounds.tolist() == [[0, 16], [16, 32], [32, 48], [48, 64]]
    assert truth.common_fraction == 0.3


def test_layout_is_that_of_a_calints_file(tmp_path):
    truth = simulate_exposure(tmp_path, shape=(24, 64), integrations=21, segments=2)
    assert [Path(file).name for file in truth.files] == [f"simulated-seg00{n}_calints.fits" for n in (1, 2)]
    assert sorted(file.name for file in tmp_path.iterdir())[2:] == ["simulated-truth.npz"]
    for number, (file, first, last) in enumerate(zip(truth.files, (1, 11), (10, 21), strict=True), start=1):
        with fits.open(file, mode="readonly") as units:
            units.verify("exception")
            names = ["PRIMARY", "SCI", "ERR", "DQ", "AREA", "INT_TIMES", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"]
            assert [unit.name for unit in units] == names
            primary, science = units[0].header, units["SCI"].header
            assert (primary["EXSEGNUM"], primary["EXSEGTOT"], primary["NINTS"]) == (number, 2, 21)
            assert (primary["INTSTART"], primary["INTEND"]) == (first, last)
            assert (primary["INSTRUME"], primary["EXP_TYPE"], primary["NOUTPUTS"]) == ("NIRCAM", "NRC_TSIMAGE", 4)
            assert (primary["SUBSIZE1"], primary["SUBSIZE2"], primary["FASTAXIS"]) == (64, 24, 1)
            for key in ("DETECTOR", "CHANNEL", "FILTER", "PUPIL", "SUBARRAY", "SUBSTRT1", "SUBSTRT2", "TARGNAME", "TGROUP"):
                assert key in primary
            assert primary["EFFINTTM"] == pytest.approx(primary["NGROUPS"] * primary["TFRAME"])
            assert units["SCI"].data.dtype == units["ERR"].data.dtype == np.dtype(">f4")
            assert units["SCI"].shape == (last - first + 1, 24, 64)
            assert units["DQ"].data.dtype == np.uint32
            assert units["AREA"].data.shape == (24, 64)
            assert (science["XREF_SCI"], science["YREF_SCI"]) == (41, 11)
            assert science["BUNIT"] == "MJy/sr"
            sky = WCS(science, naxis=2).pixel_to_world(40, 10)
            assert (sky.ra.deg, sky.dec.deg) == (pytest.approx(primary["TARG_RA"]), pytest.approx(primary["TARG_DEC"]))
            # The clock: what the headers promise is what the table says.
            table = units["INT_TIMES"].data
            assert table["integration_number"].tolist() == list(range(first, last + 1))
            number_from_0 = table["integration_number"] - 1
            seconds = number_from_0 * (primary["EFFINTTM"] + primary["TFRAME"]) + primary["EFFINTTM"] / 2
            np.testing.assert_allclose(table["int_mid_MJD_UTC"], primary["EXPSTART"] + seconds / 86400, rtol=0, atol=1e-9)
            np.testing.assert_allclose(table["int_mid_BJD_TDB"] + 2400000.5, truth.time[first - 1 : last], rtol=0, atol=1e-9)
            # Units: MJy/sr to electrons, by the header alone and the gain of the camera.
            electrons = 1 / science["PHOTMJSR"] * primary["EFFINTTM"] * 2.05
            assert truth.electrons_per_unit == pytest.approx(electrons)


def test_barycentric_times_are_near_those_of_the_time_scales(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL)
    table = fits.getdata(truth.files[0], "INT_TIMES")
    tdb = Time(table["int_mid_MJD_UTC"], format="mjd", scale="utc").tdb.mjd
    light_travel = (table["int_mid_BJD_TDB"] - tdb) * 86400
    assert np.all(np.abs(light_travel) < 520)
    assert np.all(np.diff(truth.time) > 0)


@pytest.mark.parametrize(("kind", "lengths"), [("segment", [10, 10]), ("exposure", [20, 20]), ("empty", [0, 0])])
def test_int_times_has_its_own_rows_or_all_or_none(tmp_path, kind, lengths):
    truth = simulate_exposure(tmp_path, **SMALL, int_times=kind)
    assert [len(fits.getdata(file, "INT_TIMES")) for file in truth.files] == lengths


def test_bad_pixels_and_bad_frames_are_flagged(tmp_path):
    truth = simulate_exposure(tmp_path, shape=(64, 64), integrations=9, bad_pixel_fraction=0.05, bad_frames=[4])
    science, quality = plane(truth, "SCI"), plane(truth, "DQ")
    assert np.all(np.isnan(science[4]))
    assert np.all(quality[4] & 1)
    good_frames = np.arange(9) != 4
    science, quality = science[good_frames], quality[good_frames]
    bad = (quality & 1) > 0
    assert np.mean(bad) == pytest.approx(0.05, abs=0.015)
    assert np.all(bad == bad[0])
    assert np.all(bad | np.isfinite(science))
    hot = (quality & 2048) > 0
    assert hot.any()
    assert np.all(science[hot] * truth.electrons_per_unit > 1e4)
    assert np.all(np.isnan(science[bad & ~hot]))
    assert np.array_equal(np.isnan(science), np.isnan(plane(truth, "VAR_POISSON")[good_frames]))
    rows, columns = np.nonzero(bad[0])
    assert np.all(np.hypot(columns - 40.1, rows - 30.2) > 7)


def test_pixels_depend_on_the_seed_and_not_on_the_segments(tmp_path):
    one = simulate_exposure(tmp_path, **SMALL, name="one", segments=1, seed=3)
    same = simulate_exposure(tmp_path, **SMALL, name="same", segments=1, seed=3)
    three = simulate_exposure(tmp_path, **SMALL, name="three", segments=3, seed=3)
    other = simulate_exposure(tmp_path, **SMALL, name="other", segments=1, seed=4)
    for name in ("SCI", "ERR", "DQ", "VAR_POISSON"):
        assert plane(one, name).tobytes() == plane(three, name).tobytes() == plane(same, name).tobytes()
    assert not np.array_equal(plane(one, "SCI"), plane(other, "SCI"))
    np.testing.assert_array_equal(one.row_offsets, three.row_offsets)
    again = simulate_exposure(tmp_path / "again", **SMALL, name="one", segments=1, seed=3)
    assert Path(again.files[0]).read_bytes() == Path(one.files[0]).read_bytes()


def test_truth_is_saved_beside_the_files(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL, bad_frames=[2, 1], segments=1)
    loaded = Truth.load(tmp_path / "simulated-truth.npz")
    for name, value in vars(truth).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
        assert type(getattr(loaded, name)) is type(value)


def test_more_stars_move_with_the_target(tmp_path):
    truth = simulate_exposure(
        tmp_path, shape=(64, 128), integrations=3, stars=[(30.0, 20.0, 1e8)], flux=0, sky=0, read_noise=0, pink_noise=0,
        bad_pixel_fraction=0, wings=0, drift=2.0, segments=1,
    )  # fmt: skip
    science = plane(truth, "SCI").astype(np.float64)
    centre = np.sum(science * np.arange(128), axis=(1, 2)) / science.sum(axis=(1, 2))
    np.testing.assert_allclose(centre - 30, truth.x - 80.1, atol=0.01)


def test_units_of_data_numbers_need_the_gain_alone(tmp_path):
    truth = simulate_exposure(tmp_path, **SMALL, units="DN/s")
    header = fits.getheader(truth.files[0])
    assert fits.getheader(truth.files[0], "SCI")["BUNIT"] == "DN/s"
    assert truth.electrons_per_unit == pytest.approx(2.05 * header["EFFINTTM"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"integrations": 0}, {"segments": 21}, {"amplifiers": 3}, {"depth": 1.0}, {"common_fraction": 1.5},
        {"units": "Jy"}, {"int_times": "some"}, {"poisson_variance": "none"}, {"bad_frames": [20]}, {"sky": -1.0},
        {"bad_pixel_fraction": 1.0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_contradictions_are_refused_and_nothing_is_written(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        simulate_exposure(tmp_path / "new", **{**SMALL, **wrong})
    assert not (tmp_path / "new").exists()


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("tsogrid.simulate.calints.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        simulate_exposure(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


# Star fields


def test_stars_have_honest_errors_in_electrons_and_in_data_numbers():
    for gain, read_noise in ((1.0, 5.0), (2.5, 9.0)):
        field = simulate_stars(
            300, (25, 30), [8.2, 20.1], [10.3, 14.8], [4000.0, 900.0], sigma=1.4, sky=12, gain=gain, read_noise=read_noise
        )
        pulls = (field.data - field.model) / field.error
        assert np.mean(pulls) == pytest.approx(0, abs=4 / np.sqrt(pulls.size))
        assert np.std(pulls) == pytest.approx(1, abs=0.01)
        np.testing.assert_allclose(field.error**2, field.model / gain + (read_noise / gain) ** 2)
        assert field.x.shape == field.flux.shape == (300, 2)


def test_gaussian_stars_hold_their_flux_and_place():
    field = simulate_stars(5, (61, 63), 30.3, 29.6, [1e4, 2e4], sigma=(2.0, 3.0), drift=1.0, jitter=0.1)
    np.testing.assert_allclose(field.model.sum(axis=(1, 2)), 3e4)
    centre = np.sum(field.model * np.arange(63), axis=(1, 2)) / 3e4
    np.testing.assert_allclose(centre, field.x[:, 0], atol=1e-6)
    spread = np.sum(field.model * (np.arange(63) - centre[:, None, None]) ** 2, axis=(1, 2)) / 3e4
    np.testing.assert_allclose(spread, 4 + 1 / 12, rtol=1e-6)


def test_moffat_stars_and_the_dtype():
    field = simulate_stars(2, (41, 41), 20.2, 19.7, 1e5, fwhm=3.0, psf="moffat", beta=3.5, sky=1, dtype=np.float32)
    assert field.data.dtype == field.error.dtype == np.float32
    np.testing.assert_allclose((field.model - 1).sum(axis=(1, 2)), 1e5, rtol=2e-4)


def test_stars_refuse_an_unknown_profile_or_two_widths():
    with pytest.raises(ConfigError, match="psf"):
        simulate_stars(1, (9, 9), 4, 4, 1, sigma=1, psf="airy")
    with pytest.raises(ConfigError, match="fwhm"):
        simulate_stars(1, (9, 9), 4, 4, 1, sigma=1, fwhm=2)


# A night


def test_night_is_files_with_headers_and_a_truth(tmp_path):
    truth = simulate_night(tmp_path, frames=12, seed=2)
    assert len(truth.files) == 12
    assert truth.x.shape == truth.flux.shape == (12, 5)
    for i, file in enumerate(truth.files):
        header = fits.getheader(file)
        mid = Time(header["DATE-OBS"], scale="utc").jd + header["EXPTIME"] / 2 / 86400
        assert mid == pytest.approx(truth.time[i], abs=1e-8)
        assert (header["GAIN"], header["RDNOISE"]) == (1.5, 8.0)
    data = np.stack([fits.getdata(file) for file in truth.files])
    assert data.dtype == np.uint16
    i, row, column = 3, *np.rint([truth.y[3, 1], truth.x[3, 1]]).astype(int)
    stamp = data[i, row - 12 : row + 13, column - 12 : column + 13].astype(float) - truth.sky
    assert stamp.sum() == pytest.approx(truth.flux[3, 1], rel=0.03)
    assert np.sum(stamp * np.arange(-12, 13)) / stamp.sum() + column == pytest.approx(truth.x[3, 1], abs=0.1)
    assert np.median(data) == pytest.approx(truth.sky, abs=2)
    background = data[:, :15, :15].astype(float)
    assert np.std(background) == pytest.approx(np.sqrt(truth.sky / truth.gain + (8 / 1.5) ** 2 + 1 / 12), rel=0.03)
    again = simulate_night(tmp_path / "again", frames=12, seed=2)
    assert Path(again.files[5]).read_bytes() == Path(truth.files[5]).read_bytes()
    np.testing.assert_array_equal(NightTruth.load(tmp_path / "night-truth.npz").flux, truth.flux)
    np.testing.assert_allclose(truth.flux[:, 0] / truth.flux[:, 1] * 1.4, truth.transit)


def test_the_simulator_knows_nothing_of_the_code_that_measures():
    script = "import sys, tsogrid.simulate; print([m for m in sys.modules if m.startswith('tsogrid.')])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "kernels" not in loaded
    assert "engine" not in loaded
    assert "Returns" in (inspect.getdoc(simulate_exposure) or "")
