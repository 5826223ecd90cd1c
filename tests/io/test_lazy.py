"""The lazy array against numpy and astropy: every index, every pixel format, only the bytes wanted."""

import functools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsogrid.errors import InputError
from tsogrid.io.fits import PixelFormat
from tsogrid.io.frames import open_frames
from tsogrid.io.lazy import FrameArray, decode, make_runs


def lazy_cubes(folder: Path, shape: tuple[int, int], rows: list[int], order: np.ndarray, lead: int = 17):
    """Write raw files of big-endian floats; give the lazy array over them and the same frames in memory."""
    random = np.random.default_rng(1)
    paths, cubes = [], []
    for i, count in enumerate(rows):
        cube = random.random((count, *shape)).astype(">f4")
        path = folder / f"{i}.raw"
        path.write_bytes(b"\1" * lead + cube.tobytes() + b"\2" * 5)
        paths.append(str(path))
        cubes.append(cube)
    everything = np.concatenate(cubes).astype(np.float32)[order]
    file = np.repeat(np.arange(len(rows)), rows)[order]
    row = np.concatenate([np.arange(count) for count in rows])[order]
    array = FrameArray(
        paths,
        np.full(len(rows), lead),
        [PixelFormat(">f4")] * len(rows),
        make_runs(file, row),
        everything.shape,
        np.float32,
    )
    return array, everything


def index(size: int) -> st.SearchStrategy:
    def cut(a: int, b: int, step: int) -> slice:
        # An empty slice with a negative step is a mistake of xarray's own.
        return slice(a, b, step if range(size)[a:b:step] else 1)

    edge = st.integers(-size - 2, size + 2)
    lists = st.lists(st.integers(-size, size - 1), max_size=2 * size).map(lambda n: np.array(n, dtype=int))
    steps = st.sampled_from([1, 1, 2, 3, -1, -2])
    return st.one_of(st.integers(-size, size - 1), st.builds(cut, edge, edge, steps), lists)


@functools.cache
def cached_cubes(folder: Path, shape: tuple[int, int]):
    folder.mkdir(exist_ok=True)
    return lazy_cubes(folder, shape, [3, 4, 2], np.array([3, 4, 5, 6, 0, 1, 2, 8, 7]))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), shape=st.sampled_from([(5, 7), (3, 1500), (70, 1010)]))
def test_any_outer_index_is_numpys(data, shape, tmp_path_factory):
    array, everything = cached_cubes(tmp_path_factory.getbasetemp() / f"outer{shape[1]}", shape)
    variable = xr.Variable(("time", "y", "x"), xr.core.indexing.LazilyIndexedArray(array))
    reference = xr.Variable(("time", "y", "x"), everything)
    key = tuple(data.draw(index(size)) for size in everything.shape)
    found = variable[key]
    np.testing.assert_array_equal(found.values, reference[key].values, strict=True)
    # An index of an index, as xarray's lazy arrays are used.
    if found.ndim and found.shape[0] > 1:
        np.testing.assert_array_equal(found[1:].values, reference[key][1:].values)


@pytest.mark.parametrize(
    ("stored", "keywords"),
    [
        (np.array([[0, 1, 255]], np.uint8), {}),
        (np.array([[-32768, 0, 32767]], np.int16), {}),
        (np.array([[0, 32768, 65535]], np.uint16), {}),
        (np.array([[-(2**31), 7, 2**31 - 1]], np.int32), {}),
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), {}),
        (np.array([[-5, 7, 2**40]], np.int64), {}),
        (np.array([[-1.5, np.nan, np.inf]], np.float32), {}),
        (np.array([[-1.5, np.nan, 1e300]], np.float64), {}),
        (np.array([[-5, 7, 30000]], np.int16), {"BSCALE": 0.1, "BZERO": 3.5}),
        (np.array([[-5, 7, 30000]], np.int16), {"BLANK": -5}),
        (np.array([[-5, 7, 30000]], np.int32), {"BSCALE": 2.0, "BLANK": 7}),
        (np.array([[-1.5, np.nan, 3.0]], np.float32), {"BSCALE": 2.0, "BZERO": 1.0}),
    ],
)
def test_every_pixel_format_is_astropys(stored, keywords, tmp_path):
    unit = fits.PrimaryHDU(stored)
    path = tmp_path / "one.fits"
    unit.writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        for key, value in keywords.items():
            file[0].header[key] = value
    with pytest.warns(UserWarning, match="no frame has a time"):
        data = open_frames(path)["data"]
    expected = fits.getdata(path)
    wide = stored.dtype.itemsize == 8 or stored.dtype in (np.int32, np.uint32)
    assert data.dtype == (np.float64 if wide else np.float32)
    assert data.values.dtype.isnative
    np.testing.assert_allclose(data.values[0], expected.astype(np.float64), rtol=2e-7 if keywords else 0)


@pytest.mark.parametrize("dtype", ["u1", ">i2", ">i4"])
def test_bits(dtype):
    stored = np.array([0, 1, 77], dtype)
    out = np.empty(3, np.uint32)
    decode(stored, PixelFormat(dtype), out)
    np.testing.assert_array_equal(out, [0, 1, 77])
    zero = {"u1": 0, ">i2": 2**15, ">i4": 2**31}[dtype]
    decode(stored, PixelFormat(dtype, zero=zero), out)
    np.testing.assert_array_equal(out, np.array([0, 1, 77]) + zero)


def test_pickle_is_small_and_keeps_no_file_open(segment):
    paths = [segment("b.fits", first=1), segment("a.fits", first=7)]
    frames = open_frames(paths)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    copy = pickle.loads(pickle.dumps(frames))
    assert len(pickle.dumps(frames["data"].variable._data)) < 20_000
    assert copy.identical(frames)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_forty_thousand_frames_of_two_files_pickle_small():
    file = np.repeat([0, 1], 20_000)
    row = np.tile(np.arange(20_000), 2)
    array = FrameArray(["a", "b"], np.zeros(2), [PixelFormat(">f4")] * 2, make_runs(file, row), (40_000, 64, 64), "f4")
    assert len(pickle.dumps(array)) < 2_000


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes with /proc")
@pytest.mark.parametrize(("shape", "limit"), [((64, 2048), 1.05), ((200, 300), 10.5), ((64, 64), 3.5)])
def test_a_stamp_reads_little_more_than_its_bytes(shape, limit, tmp_path):
    array, everything = lazy_cubes(tmp_path, shape, [20], np.arange(20))
    array.read((slice(None), slice(10, 40), slice(20, 50)))  # machine code is read, too, when it is first needed
    before = _bytes_read()
    stamp = array.read((slice(None), slice(10, 40), slice(20, 50)))
    counted = _bytes_read() - before
    np.testing.assert_array_equal(stamp, everything[:, 10:40, 20:50])
    assert counted <= limit * stamp.nbytes + 2000
    if shape[1] < 1000:  # small gaps are read: whole rows, never whole frames
        assert counted <= 20 * 30 * shape[1] * 4 + 4096 * 20


def _bytes_read() -> int:
    with open("/proc/self/io") as counters:
        return int(counters.readline().split()[1])


def test_a_file_cut_after_opening_is_an_error_that_names_it(segment):
    path = segment()
    frames = open_frames(path)
    os.truncate(path, 7000)
    with pytest.raises(InputError, match=r"x_calints\.fits: truncated file: expected .* bytes"):
        frames["data"].values  # noqa: B018
    path.unlink()
    with pytest.raises(InputError, match=r"x_calints\.fits: no such file"):
        frames["data"][0, 0, 0].values  # noqa: B018


def test_one_pixel_is_a_number(segment):
    frames = open_frames(segment())
    assert {"data", "error", "dq"} <= set(frames.data_vars)
    for name in ("data", "error", "dq"):
        assert float(frames[name][1, 2, 3]) == frames[name].values[1, 2, 3], name


def test_negative_variance_gives_nan(segment):
    path = segment()
    with fits.open(path, mode="update") as file:
        file["VAR_POISSON"].data[0, 0, 0] = -9.0
    error = open_frames(path)["error"].values
    assert np.isnan(error[0, 0, 0])
    assert np.isfinite(error).sum() == error.size - 1
