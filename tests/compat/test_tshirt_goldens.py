"""tshirt's own numbers: its parameter files converted, its centroids fed in, its fluxes, backgrounds and times found again.

A small copy of the samples is always there; the whole of them is measured where it lies beside the clone.
"""

import numpy as np
import pytest

from tests.compat.goldens import WHOLE, measured, small_cases, untouched, whole_cases
from tsogrid import measure, open_frames
from tsogrid.compat.tshirt import convert
from tsogrid.export.tshirt import tshirt_units

CASES = [*(pytest.param(case, id=f"small-{case.name}") for case in small_cases())]
CASES += [pytest.param(case, id=case.name) for case in whole_cases()]


def cases(wanted):
    return [each for each in CASES if wanted(each.values[0].parameters)]


def follows(parameters):
    return parameters.get("scaleAperture", False)


def zeros(parameters):
    return parameters.get("nanTreatment", "zero") == "zero"


FIXED = cases(lambda parameters: not follows(parameters))
# Of the raw sum; tshirt's numbers follow other orders of summation.
TOLERANCE = {"rowAmp": 1e-5, "colrow": 1e-5}
COLROW_SHARE = 0.99  # of the points; a clip that falls on the other side of its limit makes another polynomial
FWHM = 2.3548200450309493


def config_of(case):
    return convert({**case.parameters, "procFiles": "none.fits"}, "parameters.yaml").runs[0].config


def as_tshirt_has_it(case):
    """Zeros in place of NaN, which the converted file leaves out, and the points that this makes the same."""
    frames = case.frames
    given = {"calibrate": {"nan": 0}} if zeros(case.parameters) else {}
    return given, untouched(config_of(case), case, frames, np.zeros(frames.shape, bool))


def assert_same(case, result, good):
    """Flux and background agree at the points that are meant; a saturated star is NaN in both."""
    method = case.parameters.get("bkgMethod", "mean")
    raw = np.where(np.isfinite(case["raw"]), np.abs(case["raw"]), np.nanmax(np.abs(case["bkg"])))
    for name, found in (("flux", result["flux"]), ("bkg", result["sky_sum"])):
        off = np.abs(found.to_numpy() - case[name])[good] / raw[good]
        lost = np.isnan(case[name])[good]
        np.testing.assert_array_equal(np.isnan(off), lost, err_msg=name)
        if lost.all():  # NaN pixels that are left as they are
            continue
        close = off[~lost] <= TOLERANCE.get(method, 1e-6)
        least = COLROW_SHARE if method == "colrow" else 1.0
        assert close.mean() >= least, (
            f"{name}: {(~close).sum()} of {close.size} points differ, by up to {np.nanmax(off):.1e}"
        )


@pytest.mark.parametrize("case", FIXED)
def test_flux_background_and_times(case, tmp_path):
    """Every point whose aperture and sky lie on the frame, with tshirt's zeros for NaN."""
    given, good = as_tshirt_has_it(case)
    result = measured(case, tmp_path, **given)
    assert good.any()
    assert_same(case, result, good)
    np.testing.assert_allclose(result["jd_utc"].to_numpy(), case["jd"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", [each for each in FIXED if zeros(each.values[0].parameters)])
def test_as_converted_points_without_nan_are_the_same(case, tmp_path):
    """NaN is left out: points that hold none have tshirt's numbers, others must differ."""
    result = measured(case, tmp_path)
    good = untouched(config_of(case), case, case.frames)
    if good.any():
        assert_same(case, result, good)
    _, on_frame = as_tshirt_has_it(case)
    touched = on_frame & ~good & np.isfinite(case["flux"])
    assert not touched.any() or np.any(result["sky_sum"].to_numpy()[touched] != case["bkg"][touched])


@pytest.mark.parametrize("case", FIXED)
def test_errors(case, tmp_path):
    """Errors of the aperture's sum and of a mean background are tshirt's; it overstates the noise of pixels below 0."""
    given, good = as_tshirt_has_it(case)
    good &= np.isfinite(case["flux"])
    result = measured(case, tmp_path, **given)
    rtol = 0.02 if (case.frames < 0).any() else 1e-6
    np.testing.assert_allclose(result["aperture_sum_err"].to_numpy()[good], case["raw_err"][good], rtol=rtol)
    if case.parameters.get("bkgMethod", "mean") == "mean":
        np.testing.assert_allclose(result["sky_sum_err"].to_numpy()[good], case["bkg_err"][good], rtol=10 * rtol)
        np.testing.assert_allclose(result["flux_err"].to_numpy()[good], case["flux_err"][good], rtol=rtol)


@pytest.mark.parametrize("case", cases(follows))
def test_apertures_that_follow_the_width(case, tmp_path):
    """The radius is the factor times the median width of the stars that were found; in tshirt a failed fit counts as 0."""
    result = measured(case, tmp_path, calibrate={"nan": 0})
    widths = FWHM * np.sqrt(np.stack([result["sigma_x"], result["sigma_y"]], axis=-1) ** 2 + 1 / 12)
    low, high = case.parameters["apRange"]
    radius = case.parameters["apScale"] * np.clip(np.nanmedian(widths, axis=(1, 2)), low, high)
    found = result["aperture_radius"].to_numpy()
    np.testing.assert_allclose(found, np.repeat(radius[:, None], found.shape[1], axis=1), rtol=1e-4)
    theirs = case.parameters["apScale"] * np.clip(np.median(case["fwhm"], axis=(1, 2)), low, high)
    np.testing.assert_allclose(theirs, case["src_r"], rtol=1e-12)  # zeros of failed fits among them
    whole = (case["fwhm"] > 1).all(axis=(1, 2)) & (case["fwhm"] < 15).all(axis=(1, 2))
    # The box here is a pixel wider, an odd width about the star's pixel: widths agree to a percent, not to a digit.
    np.testing.assert_allclose(found[whole, 0], case["src_r"][whole], rtol=0.01)


@pytest.mark.parametrize("case", cases(lambda parameters: parameters["doCentering"]))
def test_widths_where_both_fits_found_the_star(case, tmp_path):
    result = measured(case, tmp_path, calibrate={"nan": 0})
    widths = np.sort(FWHM * np.sqrt(np.stack([result["sigma_x"], result["sigma_y"]], axis=-1) ** 2 + 1 / 12), axis=-1)
    wanted = np.sort(case["fwhm"], axis=-1)
    both = np.isfinite(widths).all(axis=-1) & (np.abs(wanted - 4.8).max(axis=-1) < 2.5)
    assert both.any()
    assert np.median(np.abs(widths[both] / wanted[both] - 1)) < 0.01


@pytest.mark.parametrize(("name", "rtol"), [("a_median", 1e-6), ("a_robust", 0.03)])
def test_background_errors_of_the_photometry_file(name, rtol, tmp_path):
    """The scatter about a robust mean is that of the pixels it keeps; tshirt takes that of all, 2 % more at most here."""
    (case,) = [each for each in small_cases() if each.name == name]
    units = tshirt_units(measured(case, tmp_path, calibrate={"nan": 0}).expand_dims(["aperture", "sky"]))
    np.testing.assert_allclose(units["BACKG ERR"].data, case["bkg_err"], rtol=rtol)
    np.testing.assert_allclose(units["PHOT ERR"].data, case["flux_err"], rtol=max(rtol / 10, 1e-6))


def test_centroids_of_the_photometry_file_come_back_as_positions(tmp_path):
    """The file is what ``center.position_file`` reads: tshirt's copyCentroidFile."""
    (case,) = [each for each in small_cases() if each.name == "a_mean"]
    result = measured(case, tmp_path)
    path = tmp_path / "phot.fits"
    tshirt_units(result.expand_dims(["aperture", "sky"])).writeto(path)
    parameters = {**case.parameters, "procFiles": str(case.folder / "a" / "*.fits"), "copyCentroidFile": str(path)}
    config = convert(parameters, tmp_path / "parameters.yaml").runs[0].config
    again = measure(open_frames(config.input), config)
    np.testing.assert_array_equal(again["x"], result["x"])
    np.testing.assert_array_equal(again["y"], result["y"])


def test_the_motion_of_another_camera(tmp_path):
    """refPhotCentering: half of the motion of the first star of another result."""
    (case,) = [each for each in small_cases() if each.name == "a_mean"]
    result = measured(case, tmp_path)
    path = tmp_path / "phot.fits"
    tshirt_units(result.expand_dims(["aperture", "sky"])).writeto(path)
    parameters = {**case.parameters, "procFiles": str(case.folder / "a" / "*.fits"), "refPhotCentering": str(path)}
    config = convert(parameters, tmp_path / "parameters.yaml").runs[0].config
    again = measure(open_frames(config.input), config)
    moved = case["cen"][:, 0] - case["cen"][0, 0]
    planned = np.array(case.parameters["refStarPos"])
    np.testing.assert_allclose(again["x"], planned[None, :, 0] + 0.5 * moved[:, :1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(again["y"], planned[None, :, 1] + 0.5 * moved[:, 1:], rtol=0, atol=1e-9)


@pytest.mark.skipif(not WHOLE.exists(), reason="the samples are not beside this clone")
def test_every_sample_is_compared_somewhere():
    assert len(whole_cases()) == 15
