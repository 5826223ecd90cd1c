"""JWST products: segments, INT_TIMES in its variants, errors, attributes, and what is refused."""

import warnings

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

from tsogrid.errors import InputError, TsogridWarning
from tsogrid.flags import JWST_DQ
from tsogrid.io.frames import open_frames

CADENCE = 0.5016 + 0.05016
EXPECTED_MJD = 60383.1 + (np.arange(12) * CADENCE + 0.5016 / 2) / 86400


def test_segments_in_any_order_are_one_series(segment):
    second, first = segment("a.fits", first=7, EXSEGNUM=2, EXSEGTOT=2), segment("b.fits", EXSEGNUM=1, EXSEGTOT=2)
    frames = open_frames([second, first])
    expected = np.concatenate([fits.getdata(first, "SCI"), fits.getdata(second, "SCI")])
    np.testing.assert_array_equal(frames["data"], expected)
    np.testing.assert_array_equal(frames["integration"], np.arange(1, 13))
    assert frames["file"].values.tolist() == ["b.fits"] * 6 + ["a.fits"] * 6
    np.testing.assert_allclose(frames["mjd_utc"], EXPECTED_MJD, rtol=0, atol=1e-9)
    np.testing.assert_allclose(frames["time"], EXPECTED_MJD + 0.0044 + 2400000.5, rtol=0, atol=1e-8)
    assert frames["time"].attrs["scale"] == "tdb"
    assert '"name": "b.fits"' in frames.attrs["inputs"].partition("}")[0]


@pytest.mark.parametrize(
    ("table", "keywords", "barycentric"),
    [
        ("own", {}, True),
        ("own", {"INTSTART": None}, True),
        ((1, 12), {}, True),
        ((1, 30), {}, True),
        ((7, 0), {}, False),
        ("none", {}, False),
    ],
)
def test_every_form_of_int_times_gives_the_same_times(table, keywords, barycentric, segment):
    frames = open_frames(segment(first=7, table=table, **keywords))
    np.testing.assert_array_equal(frames["integration"], np.arange(7, 13))
    np.testing.assert_allclose(frames["mjd_utc"], EXPECTED_MJD[6:], rtol=0, atol=1e-9)
    assert ("bjd_tdb" in frames.coords) == barycentric
    assert frames["time"].attrs["scale"] == ("tdb" if barycentric else "utc")


def test_a_table_with_zeros_is_no_table(segment):
    path = segment()
    with fits.open(path, mode="update") as file:
        for name in file["INT_TIMES"].columns.names[1:]:
            file["INT_TIMES"].data[name] = 0
    frames = open_frames(path)
    np.testing.assert_allclose(frames["mjd_utc"], EXPECTED_MJD[:6], rtol=0, atol=1e-9)
    assert frames["time"].attrs["scale"] == "utc"


def test_resets_stretch_computed_times(segment):
    frames = open_frames(segment(table="none", NRESETS=3))
    np.testing.assert_allclose(np.diff(frames["time"]) * 86400, 0.5016 + 3 * 0.05016, atol=1e-4)


def test_averaged_product_is_one_row(segment):
    random = np.random.default_rng(5)
    path = segment("x_rate.fits", data=random.normal(size=(12, 16)).astype(np.float32), NINTS=12, INTEND=None)
    frames = open_frames(path)
    assert frames.sizes == {"time": 1, "y": 12, "x": 16}
    np.testing.assert_allclose(frames["mjd_utc"], EXPECTED_MJD.mean(), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(frames["data"][0], fits.getdata(path, "SCI"))


def test_errors_and_bits(segment):
    path = segment()
    auto, err, none = (open_frames(path, error=kind) for kind in ("auto", "err", "none"))
    variance = fits.getdata(path, "VAR_POISSON") + fits.getdata(path, "VAR_RNOISE")
    np.testing.assert_array_equal(auto["error"], np.sqrt(variance))
    np.testing.assert_array_equal(auto["error"][2:4, 3, 1:9:2], np.sqrt(variance)[2:4, 3, 1:9:2])
    np.testing.assert_array_equal(err["error"], fits.getdata(path, "ERR"))
    assert "error" not in none
    np.testing.assert_array_equal(auto["dq"], fits.getdata(path, "DQ"))
    assert auto["dq"].dtype == np.uint32
    assert auto["error"].dtype == np.float32
    assert auto["dq"].attrs["flag_masks"] == list(JWST_DQ.values())
    without = segment("y_calints.fits", drop=("VAR_POISSON",))
    np.testing.assert_array_equal(open_frames(without)["error"], fits.getdata(without, "ERR"))


def test_attributes(segment):
    attrs = open_frames(segment(GAINKEY=1.8), gain="GAINKEY", read_noise=12).attrs
    expected = {
        "instrument": "NIRCAM",
        "detector": "NRCB1",
        "target": "STAR",
        "units": "DN/s",
        "integration_time_s": 0.5016,
        "x_ref": 8.0,
        "y_ref": 4.5,
        "subarray_origin": [1, 33],
        "amplifiers": [0, 16],
        "fast_axis": -1,
        "gain": 1.8,
        "read_noise": 12.0,
        "reader": "jwst",
    }
    assert expected.items() <= attrs.items()
    stripe = open_frames(segment("s_calints.fits", shape=(4, 2048), NOUTPUTS=4))
    assert stripe.attrs["amplifiers"] == [0, 512, 512, 1024, 1024, 1536, 1536, 2048]
    assert "amplifiers" not in open_frames(segment("t_calints.fits", NOUTPUTS=4)).attrs
    assert "amplifiers" not in open_frames(segment("u_calints.fits", FASTAXIS=2)).attrs


def test_spectra_are_warned_of_by_name(segment):
    with pytest.warns(TsogridWarning, match="NIS_SOSS"):
        open_frames(segment(EXP_TYPE="NIS_SOSS"))


def test_missing_segments_are_named(segment):
    paths = [segment(f"{n}.fits", first=1 + 6 * n, EXSEGNUM=n + 1, EXSEGTOT=5) for n in (0, 2, 3)]
    with pytest.warns(TsogridWarning, match="segments 2, 5 of 5"):
        frames = open_frames(paths)
    assert frames.sizes["time"] == 18


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {}, "integrations 1 to 6 are also in"),
        ({}, {"first": 4}, "integrations 4 to 9 are also in"),
        ({}, {"first": 7, "TARGNAME": "OTHER"}, "TARGNAME = 'STAR' as in a.fits, found 'OTHER'"),
        ({"OBSERVTN": "001"}, {"first": 7, "OBSERVTN": "002"}, "OBSERVTN"),
        ({}, {"first": 7, "shape": (12, 15)}, "expected frames of 12 × 16 pixels"),
    ],
)
def test_what_does_not_belong_together_is_refused(first, second, message, segment):
    paths = [segment("a.fits", **first), segment("b.fits", **second)]
    with pytest.raises(InputError, match=message) as caught:
        open_frames(paths)
    assert "b.fits" in str(caught.value)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"error_shape": (6, 12, 15)}, "expected ERR of the shape of the science image, 6 × 12 × 16, found 6 × 12 × 15"),
        ({"table": (1, 5)}, "expected rows of INT_TIMES for integrations 1 to 6, found 5 rows"),
        ({"table": (3, 6)}, "expected rows of INT_TIMES"),
        ({"data": np.ones((2, 3, 12, 16), np.float32)}, "found 4-D data"),
        ({"data": np.ones(12, np.float32)}, "found 1-D data"),
    ],
)
def test_damaged_products_are_refused(how, message, segment):
    with pytest.raises(InputError, match=message) as caught:
        open_frames(segment(**how))
    assert "x_calints.fits" in str(caught.value)


def test_no_err_where_it_is_asked_for(segment):
    with pytest.raises(InputError, match="expected an ERR extension"):
        open_frames(segment(drop=("ERR",)), error="err")


def test_xarray_engine(segment):
    path = segment()
    with xr.open_dataset(path, engine="tsogrid", drop_variables="dq") as frames:
        assert set(frames.data_vars) == {"data", "error"}
        np.testing.assert_array_equal(frames["data"][1:3, :4], fits.getdata(path, "SCI")[1:3, :4])
    backend = xr.backends.list_engines().get("tsogrid")
    if backend is not None:
        assert backend.guess_can_open("jw1_nrcb1_calints.fits")
        assert not backend.guess_can_open("image.fits")
        assert not backend.guess_can_open(3)


@pytest.mark.parametrize("name", ["a_nrc_sub64p_calints", "b_own-seg001_calints", "miri_lrs_slitless_calints"])
def test_real_files_are_read_as_astropy_reads_them(name, shared):
    path = shared / "jwst" / f"{name}.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)
        frames = open_frames(path, error="err")
        auto = open_frames(path)
    with fits.open(path) as file:
        for variable, extension in (("data", "SCI"), ("error", "ERR"), ("dq", "DQ")):
            np.testing.assert_array_equal(frames[variable], file[extension].data)
        np.testing.assert_array_equal(auto["error"], np.sqrt(file["VAR_POISSON"].data + file["VAR_RNOISE"].data))
        if name.startswith("a_"):
            header = fits.Header.fromstring(frames.attrs["wcs"], sep="\n")
            there = WCS(file["SCI"].header, naxis=2).pixel_to_world_values(3.0, 5.0)
            np.testing.assert_array_equal(WCS(header).pixel_to_world_values(3.0, 5.0), there)


def test_computed_times_agree_with_int_times_in_every_segment(shared, tmp_path):
    for path in sorted((shared / "jwst").glob("b_own*.fits")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TsogridWarning)
            real = open_frames(path)
            with fits.open(path) as file:
                frame_time = file[0].header["TFRAME"]
                file.pop("INT_TIMES")
                file.writeto(tmp_path / path.name)
            computed = open_frames(tmp_path / path.name)
        assert "bjd_tdb" not in computed.coords
        assert np.abs(real["mjd_utc"].values - computed["mjd_utc"].values).max() * 86400 < frame_time
        np.testing.assert_array_equal(real["integration"], computed["integration"])
