"""Arrays and Datasets: completed to the data model, never loaded or copied without need."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from tsogrid.errors import InputError, TsogridWarning
from tsogrid.io.frames import open_frames


def test_numpy_stays_numpy():
    cube = np.random.default_rng(1).random((4, 5, 6))
    frames = open_frames(cube, gain=2)
    assert frames["data"].variable._data is cube
    assert frames["data"].dims == ("time", "y", "x")
    assert frames["time"].values.tolist() == [0, 1, 2, 3]
    assert frames["time"].attrs["units"] == "1"
    assert frames.attrs["gain"] == 2
    assert open_frames(cube[0]).sizes == {"time": 1, "y": 5, "x": 6}


def test_dask_stays_dask_and_lists_are_joined():
    cube = np.random.default_rng(1).random((4, 5, 6)).astype(np.float32)
    lazy = da.from_array(cube, chunks=(2, 5, 6))
    assert open_frames(lazy)["data"].chunks == ((2, 2), (5,), (6,))
    mixed = open_frames([lazy, cube[0], xr.DataArray(cube[1:])])
    assert mixed["data"].chunks is not None
    np.testing.assert_array_equal(mixed["data"], np.concatenate([cube, cube]))
    np.testing.assert_array_equal(open_frames(list(cube))["data"], cube)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("u2", "f4"), ("i4", "f8"), (">f4", "f4"), (">f8", "f8"), ("f2", "f4"), ("?", "f4"), ("u8", "f8")],
)
def test_pixels_become_floats(dtype, expected):
    cube = np.array([[[0, 1], [1, 0]]], dtype)
    data = open_frames(cube)["data"]
    assert data.dtype == np.dtype(expected)
    assert data.dtype.isnative
    np.testing.assert_array_equal(data, cube)


def test_masked_pixels_are_nan():
    masked = np.ma.masked_equal(np.array([[1, 2], [3, 4]], np.int16), 3)
    np.testing.assert_array_equal(open_frames(masked)["data"][0], [[1, 2], [np.nan, 4]])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros(3), "found 1-D data"),
        (np.zeros((1, 2, 3, 4)), "found 4-D data"),
        (np.zeros((2, 3), complex), "real numbers"),
        (np.zeros((0, 3, 4)), "expected frames with pixels"),
        ([np.zeros((3, 4)), np.zeros((4, 3))], "array 1 of 2: expected frames of 3 × 4 pixels"),
        (xr.Dataset({"flux": ("time", [1.0])}), "expected a Dataset with a variable data"),
        (xr.Dataset({"data": (("a", "y", "x"), np.zeros((1, 2, 3)))}), "dimensions time, y, x"),
        (
            xr.Dataset({"data": (("time", "y", "x"), np.zeros((1, 2, 3))), "error": (("y", "x"), np.zeros((2, 3)))}),
            "expected error with the dimensions",
        ),
    ],
)
def test_what_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        open_frames(source)
    with pytest.raises(InputError, match="names a header keyword"):
        open_frames(np.zeros((2, 3)), gain="GAIN")


def test_a_dataset_of_frames_passes_as_it_is(segment):
    frames = open_frames(segment())
    again = open_frames(frames)
    assert again.identical(frames)
    assert again["data"].variable._data is frames["data"].variable._data


def test_a_dataset_is_completed():
    pixels = np.random.default_rng(1).random((5, 6, 3))
    plain = xr.Dataset({"data": (("y", "x", "time"), pixels), "flux": ("time", [1.0, 2.0, 3.0])}, attrs={"gain": 1.5})
    frames = open_frames(plain)
    assert list(frames.data_vars) == ["data"]
    assert frames["time"].values.tolist() == [0, 1, 2]
    assert frames.attrs["gain"] == 1.5
    np.testing.assert_array_equal(frames["data"], np.moveaxis(pixels, 2, 0))
    dates = np.array(["2020-01-02", "2020-01-01", "2020-01-03"], "M8[ns]")
    dated = open_frames(plain.assign_coords(time=dates))
    np.testing.assert_allclose(dated["time"], [2458849.5, 2458850.5, 2458851.5], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(dated["data"][0], pixels[:, :, 1])
    with pytest.warns(TsogridWarning, match="repeated"):
        repeated = open_frames(plain.assign_coords(time=[2.0, 1.0, 2.0]))
    assert repeated["time"].values.tolist() == [0, 1, 2]
    assert repeated["time_raw"].values.tolist() == [1.0, 2.0, 2.0]
    single = open_frames(xr.Dataset({"data": (("y", "x"), pixels[:, :, 0])}))
    assert single.sizes == {"time": 1, "y": 5, "x": 6}
