"""Cubes and files of several extensions: Spitzer's subarrays, slopes of ncdhas, amplifiers that must be chosen."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

import tsogrid
from tsogrid.errors import InputError, TsogridWarning


def subarray(path, n=0, planes=64, drop=(), **more):
    unit = fits.PrimaryHDU(np.random.default_rng(n).normal(10, 1, (planes, 32, 32)).astype(np.float32))
    cards = {
        "TELESCOP": "Spitzer",
        "INSTRUME": "IRAC",
        "BUNIT": "MJy/sr",
        "FRAMTIME": 0.4,
        "EXPTIME": 0.36,
        "AINTBEG": 1000.0,
        "ATIMEEND": 1025.6,
        "MJD_OBS": 55500.1 + n * 30 / 86400,
        "BMJD_OBS": 55500.103 + n * 30 / 86400,
        "DATE_OBS": "2010-10-31T02:24:00",
        **more,
    }
    unit.header.update({key: value for key, value in cards.items() if key not in drop})
    unit.writeto(path)
    return path


def test_planes_of_a_spitzer_cube_have_times(tmp_path):
    for n in range(3):
        subarray(tmp_path / f"SPITZER_I2_{n}_bcd.fits", n)
    frames = tsogrid.open_frames(tmp_path)
    assert frames.sizes == {"time": 192, "y": 32, "x": 32}
    first = 55500.1 + 0.2 / 86400
    np.testing.assert_allclose(
        frames["mjd_utc"][[0, 1, 64]], [first, first + 0.4 / 86400, first + 30 / 86400], rtol=0, atol=1e-9
    )
    # 2010: TDB is ahead of UTC by 34 + 32.184 s.
    expected = 2400000.5 + 55500.103 + (0.2 + 66.184) / 86400
    assert float(frames["bjd_tdb"][0]) == pytest.approx(expected, abs=3e-8)
    assert frames["time"].attrs["scale"] == "tdb"
    peer = Time(55500.103 + 0.2 / 86400, format="mjd", scale="utc").tdb.jd
    assert float(frames["time"][0]) == pytest.approx(peer, abs=1e-8)


def test_without_its_keywords_a_cube_is_numbered(tmp_path):
    with pytest.warns(TsogridWarning, match="no frame has a time"):
        frames = tsogrid.open_frames(subarray(tmp_path / "a.fits", drop=("FRAMTIME",)))
    assert frames["time"].attrs["units"] == "1"
    frames = tsogrid.open_frames(subarray(tmp_path / "b.fits", drop=("BMJD_OBS",)))
    assert frames["time"].attrs["scale"] == "utc"


def slope(path, n=0, **more):
    data = np.stack([np.full((20, 24), 100.0 + n), np.full((20, 24), 2.0)]).astype(np.float32)
    unit = fits.PrimaryHDU(data)
    unit.header.update({"ISWFS": False, "INSTRUME": "NIRCAM", "INTTIME": 10.7, "DATE-OBS": f"2016-04-05T0{n}:00:00", **more})
    unit.writeto(path)
    return path


def test_slopes_of_ncdhas_are_the_first_plane(tmp_path):
    for n in range(3):
        slope(tmp_path / f"NRCN_{n}.slp.fits", n)
    frames = tsogrid.open_frames(tmp_path)
    assert frames.sizes == {"time": 3, "y": 20, "x": 24}
    np.testing.assert_array_equal(frames["data"][:, 3, 3], [100, 101, 102])
    assert "error" not in frames
    assert frames.attrs["units"] == "DN/s"
    assert frames["time"].attrs["scale"] == "utc"
    formal = tsogrid.open_frames(tmp_path, error="err")
    assert (formal["error"] == 2).all()
    second = tsogrid.open_frames(tmp_path, plane=1)
    assert (second["data"] == 2).all()
    # In electrons: rates times the integration time.
    settings = {"gain": 2.0, "units": "electron", "integration_time": "INTTIME"}
    rest = {"center": {"method": "none", "position": "fixed"}, "sky": [{"method": "none"}]}
    result = tsogrid.measure(tsogrid.open_frames(tmp_path, **settings), x=12, y=10, radius=3, input=settings, **rest)
    np.testing.assert_allclose(result["flux"][0].squeeze(), 100 * 2 * 10.7 * np.pi * 9, rtol=1e-5)


def several(path, names, shape=(20, 30), versions=None):
    units = [fits.PrimaryHDU()]
    for n, name in enumerate(names):
        unit = fits.ImageHDU(np.full(shape, n + 1, np.int16), name=name)
        if versions:
            unit.header["EXTVER"] = versions[n]
        units.append(unit)
    units[0].header["DATE-OBS"], units[0].header["EXPTIME"] = "2026-01-01T00:00:00", 1.0
    fits.HDUList(units).writeto(path)
    return path


def test_one_of_several_amplifiers_is_chosen(tmp_path):
    path = several(tmp_path / "a.fits", ["AMP1", "AMP2", "AMP3"])
    with pytest.raises(InputError, match=r"found 3 of one size.*1 \(AMP1\), 2 \(AMP2\), 3 \(AMP3\).*input.extension"):
        tsogrid.open_frames(path)
    assert (tsogrid.open_frames(path, extension="AMP2")["data"] == 2).all()
    assert (tsogrid.open_frames(path, extension=3)["data"] == 3).all()
    chips = several(tmp_path / "b.fits", ["SCI", "SCI", "ERR", "ERR"], versions=[1, 2, 1, 2])
    with pytest.raises(InputError, match=r"1 \(SCI,1\), 2 \(SCI,2\)"):
        tsogrid.open_frames(chips)
    assert (tsogrid.open_frames(chips, extension="SCI,2", error="none")["data"] == 2).all()
    with pytest.raises(InputError, match="expected an extension 'SCI,3'"):
        tsogrid.open_frames(chips, extension="SCI,3")
    beside = several(tmp_path / "c.fits", ["IMAGE", "WHT", "DQ", "BKG"])
    assert (tsogrid.open_frames(beside)["data"] == 1).all()


def test_empty_extensions_are_passed_over_or_refused(tmp_path):
    units = [fits.PrimaryHDU(), fits.ImageHDU(name="EMPTY"), fits.ImageHDU(np.ones((5, 6)), name="FRAME")]
    units[0].header["DATE-OBS"], units[0].header["EXPTIME"] = "2026-01-01T00:00:00", 1.0
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    assert tsogrid.open_frames(tmp_path / "a.fits").sizes["x"] == 6
    with pytest.raises(InputError, match="expected an image in extension 1"):
        tsogrid.open_frames(tmp_path / "a.fits", extension="EMPTY")
    fits.HDUList(units[:2]).writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match="expected an image, found none"):
        tsogrid.open_frames(tmp_path / "b.fits")
