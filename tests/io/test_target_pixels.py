"""Target pixel files of TESS and Kepler: pixels, times, quality, apertures, and what is broken."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import tsogrid
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.flags import SourceFlag

ROWS, NY, NX = 12, 7, 9
FIXED = {"method": "none", "position": "fixed"}


@pytest.fixture
def target(tmp_path):
    """Write a file as the missions do; truth in the arrays."""

    def write(name="k-tp.fits", telescope="Kepler", time=None, quality=None, drop=(), reference=2454833):
        rng = np.random.default_rng(1)
        flux = rng.normal(50, 3, (ROWS, NY, NX)).astype(np.float32)
        flux[:, 3, 4] += 9000
        time = 200.5 + 0.02 * np.arange(ROWS) if time is None else time
        quality = np.zeros(ROWS, np.int32) if quality is None else quality
        dim = f"({NX},{NY})"
        columns = [
            fits.Column("TIME", "D", array=time),
            fits.Column("CADENCENO", "J", array=100 + np.arange(ROWS)),
            fits.Column("RAW_CNTS", f"{NY * NX}J", dim=dim, array=np.zeros((ROWS, NY, NX), np.int32)),
            fits.Column("FLUX", f"{NY * NX}E", dim=dim, array=flux, unit="e-/s"),
            fits.Column("FLUX_ERR", f"{NY * NX}E", dim=dim, array=np.full(flux.shape, 3, np.float32)),
            fits.Column("QUALITY", "J", array=quality),
        ]
        table = fits.BinTableHDU.from_columns([each for each in columns if each.name not in drop], name="TARGETTABLES")
        if reference is not None:
            table.header["BJDREFI"], table.header["BJDREFF"] = reference, 0.25
        table.header["EXPOSURE"] = 27.3
        primary = fits.PrimaryHDU()
        primary.header["TELESCOP"], primary.header["OBJECT"] = telescope, "KIC 1"
        primary.header["RA_OBJ"], primary.header["DEC_OBJ"] = 290.0, 44.0
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [290.0, 44.0], [5.0, 4.0]
        wcs.wcs.cdelt = [-0.0011, 0.0011]
        aperture = fits.ImageHDU(np.ones((NY, NX), np.int32), wcs.to_header(), name="APERTURE")
        aperture.data[2:5, 3:6] = 3
        fits.HDUList([primary, table, aperture]).writeto(tmp_path / name, overwrite=True)
        return tmp_path / name, flux, time

    return write


def test_pixels_times_and_attributes(target):
    path, flux, time = target()
    frames = tsogrid.open_frames(path)
    np.testing.assert_array_equal(frames["data"], flux)
    np.testing.assert_array_equal(frames["data"][2:5, 1:3, 4:], flux[2:5, 1:3, 4:])
    assert (frames["error"] == 3).all()
    np.testing.assert_allclose(frames["time"], time + 2454833.25, rtol=0, atol=1e-9)
    assert frames["time"].attrs["scale"] == "tdb"
    np.testing.assert_array_equal(frames["integration"], 100 + np.arange(ROWS))
    assert frames.attrs["units"] == "e-/s"
    assert "integration_time_s" not in frames.attrs
    mask = np.reshape(frames.attrs["aperture_mask"], (NY, NX))
    assert (mask & 2).sum() == 9 * 2
    assert (frames.attrs["x_ref"], frames.attrs["y_ref"]) == pytest.approx((4.0, 3.0), abs=1e-6)
    result = tsogrid.measure(frames, radius=2, center=FIXED, sky=[{"method": "none"}]).compute(scheduler="sync")
    assert (abs(result["x"] - 4) < 1e-6).all()
    assert np.isfinite(result["flux_err"]).all()


def test_gaps_are_left_out_and_bad_cadences_are_nan(target):
    time = 200.5 + 0.02 * np.arange(ROWS)
    time[[3, 4]] = np.nan
    quality = np.zeros(ROWS, np.int32)
    quality[6], quality[8] = 32, 8192  # a desaturation, a cosmic ray in the collateral pixels
    path, flux, _ = target(time=time, quality=quality)
    with pytest.warns(TsogridWarning, match="2 rows have no time"):
        frames = tsogrid.open_frames(path)
    kept = np.isfinite(time)
    np.testing.assert_array_equal(frames["data"], flux[kept])
    settings = {"x": 4, "y": 3, "radius": 2, "center": FIXED, "sky": [{"method": "none"}]}
    lost = {}
    for name, names in (("usual", ["DO_NOT_USE"]), ("all", []), ("strict", ["DESATURATION", "COSMIC_RAY_IN_COLLATERAL"])):
        result = tsogrid.measure(frames, **settings, calibrate={"dq": names}, block=5).compute(scheduler="sync")
        lost[name] = np.flatnonzero(np.isnan(result["flux"].to_numpy().ravel())).tolist()
        assert np.flatnonzero(result["flags"].to_numpy().ravel() & int(SourceFlag.NO_DATA)).tolist() == lost[name]
    assert lost == {"usual": [4], "all": [], "strict": [4, 6]}
    with pytest.raises(ConfigError, match=r"unknown quality flag 'JUMP_DET'.*THRUSTER_FIRING"):
        tsogrid.measure(frames, **settings, calibrate={"dq": ["JUMP_DET"]})


def test_the_bits_of_tess_are_its_own(target):
    quality = np.zeros(ROWS, np.int32)
    quality[2], quality[5] = 16, 512  # Argabrightening; an outlier, which stays
    path, *_ = target("t_tp.fits", "TESS", quality=quality, reference=2457000)
    frames = tsogrid.open_frames(path)
    result = tsogrid.measure(frames, x=4, y=3, radius=2, center=FIXED, sky=[{"method": "none"}]).compute(scheduler="sync")
    assert np.flatnonzero(np.isnan(result["flux"].to_numpy().ravel())).tolist() == [2]
    assert float(frames["time"][0]) == pytest.approx(2457200.75)


def test_what_is_broken_is_said(target, tmp_path):
    for change, words in (
        ({"time": np.full(ROWS, np.nan)}, "expected cadences with a time"),
        ({"reference": None}, "expected BJDREFI"),
    ):
        path, *_ = target(**change)
        with pytest.raises(InputError, match=words):
            tsogrid.open_frames(path)
    path, *_ = target()
    content = path.read_bytes()
    (tmp_path / "cut.fits").write_bytes(content[:9000])
    with pytest.raises(InputError, match="truncated FITS file"):
        tsogrid.open_frames(tmp_path / "cut.fits")
    fits.PrimaryHDU(np.ones((4, 4))).writeto(tmp_path / "frame.fits")
    with pytest.raises(InputError, match="expected a target pixel file"):
        tsogrid.open_frames(tmp_path / "frame.fits", reader="tpf")
    with fits.open(path) as empty:
        empty[1].data = empty[1].data[:0]
        empty.writeto(tmp_path / "empty.fits")
    with pytest.raises(InputError, match="table without rows"):
        tsogrid.open_frames(tmp_path / "empty.fits")


def test_without_errors_and_quality(target):
    path, *_ = target(drop=("FLUX_ERR", "QUALITY"))
    frames = tsogrid.open_frames(path)
    assert "error" not in frames
    assert not frames["dq"].any()


def test_a_real_file(shared):
    path = next((shared / "tess").glob("*.fits"))
    frames = tsogrid.open_frames(path)
    with fits.open(path) as units:
        table = units[1].data
        np.testing.assert_array_equal(frames["data"], table["FLUX"])
        np.testing.assert_array_equal(frames["error"], table["FLUX_ERR"])
        np.testing.assert_allclose(frames["time"], table["TIME"] + 2457000, rtol=0, atol=1e-9)
    result = tsogrid.measure(frames, x=2.6, y=2.8, radius=2.5, center=FIXED, sky=[{"method": "none"}]).compute(
        scheduler="sync"
    )
    flux = result["flux"].to_numpy().ravel()
    assert np.isfinite(flux).all()
    assert flux.std() / flux.mean() < 0.01
