"""Packed frames: gzip, bzip2, xz and compressed tiles give what the plain file gives, and damaged ones a clear error."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")

FIXED = {"method": "none", "position": "fixed"}
PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def image(n=0, dtype=np.float32, shape=(40, 50)):
    data = np.random.default_rng(n).normal(100, 5, shape)
    data[20, 22] += 5000
    return data.astype(dtype)


def header(n=0):
    cards = fits.Header()
    cards["DATE-OBS"] = f"2026-03-01T00:{n:02d}:00"
    cards["EXPTIME"] = 30.0
    return cards


@pytest.mark.parametrize("suffix", PACK)
def test_packed_files_are_the_plain_ones(tmp_path, suffix):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    for folder in (plain, packed):
        folder.mkdir()
    for n in range(4):
        errors = fits.ImageHDU(np.full((40, 50), 5, np.float32), name="ERR")
        fits.HDUList([fits.PrimaryHDU(image(n, np.int16), header(n)), errors]).writeto(plain / f"f{n}.fits")
        (packed / f"f{n}.fits{suffix}").write_bytes(PACK[suffix]((plain / f"f{n}.fits").read_bytes()))
    one, other = tsogrid.open_frames(plain), tsogrid.open_frames(packed)
    np.testing.assert_array_equal(one["time"], other["time"])
    np.testing.assert_array_equal(one["data"], other["data"])
    np.testing.assert_array_equal(one["error"][1:3, 5:9, ::3], other["error"][1:3, 5:9, ::3])
    settings = {"x": [22, 8], "y": [20, 30], "radius": 3, "center": FIXED}
    first, second = (tsogrid.measure(each, **settings, block=2).compute(scheduler="sync") for each in (one, other))
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name], second[name])


def test_damaged_packed_files_are_named(tmp_path):
    fits.PrimaryHDU(image(), header()).writeto(tmp_path / "f.fits")
    content = gzip.compress((tmp_path / "f.fits").read_bytes())
    for name, spoilt, words in (
        ("cut.fits.gz", content[:-500], "truncated or damaged gzip file"),
        ("flipped.fits.gz", content[:900] + bytes([content[900] ^ 8]) + content[901:], "truncated or damaged gzip file"),
        ("inside.fits.gz", gzip.compress((tmp_path / "f.fits").read_bytes()[:5000]), "truncated FITS file"),
        ("text.fits.gz", gzip.compress(b"hello"), "something else"),
        ("old.fits.Z", b"\x1f\x9d" + content, "compress-compressed file, which is not read"),
    ):
        (tmp_path / name).write_bytes(spoilt)
        with pytest.raises(InputError, match=words) as caught:
            tsogrid.open_frames(tmp_path / name)
        assert name in str(caught.value)


def test_a_packed_file_that_changes_later_is_an_error_and_no_crash(tmp_path):
    path = tmp_path / "f.fits.gz"
    fits.PrimaryHDU(image(), header()).writeto(path)
    frames = tsogrid.open_frames(path)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(InputError, match="truncated or damaged"):
        frames["data"].load()


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_2", "HCOMPRESS_1"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32])
def test_compressed_tiles(tmp_path, kind, dtype):
    for n in range(3):
        unit = fits.CompImageHDU(image(n, dtype), header(n), compression_type=kind, quantize_level=16)
        fits.HDUList([fits.PrimaryHDU(), unit]).writeto(tmp_path / f"f{n}.fits.fz")
    frames = tsogrid.open_frames(tmp_path)
    truth = np.stack([fits.getdata(tmp_path / f"f{n}.fits.fz", 1) for n in range(3)])
    assert frames["data"].dtype == (np.float64 if dtype is np.int32 else np.float32)
    np.testing.assert_array_equal(frames["data"], truth)
    np.testing.assert_array_equal(frames["data"][1:, 7:30, 4:9], truth[1:, 7:30, 4:9])
    assert "jd_utc" in frames.coords
    result = tsogrid.measure(frames, x=22, y=20, radius=3, center=FIXED, block=1)
    assert np.isfinite(result["flux"].compute(scheduler="sync")).all()


@pytest.mark.filterwarnings("ignore:no frame has a time:tsogrid.errors.TsogridWarning")
def test_tiles_of_cubes_and_planes_and_missing_values(tmp_path):
    cube = np.stack([image(n, np.int16) for n in range(5)])
    cube[2, 3, 4] = -32768
    unit = fits.CompImageHDU(cube, compression_type="RICE_1", tile_shape=(1, 8, 50))
    unit.header["BLANK"] = -32768
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(tmp_path / "c.fits")
    found = tsogrid.open_frames(tmp_path / "c.fits")["data"].to_numpy()
    assert np.isnan(found[2, 3, 4])
    found[2, 3, 4] = -32768
    np.testing.assert_array_equal(found, cube)
    plane = tsogrid.open_frames(tmp_path / "c.fits", plane=3)["data"]
    np.testing.assert_array_equal(plane[0], cube[3])


@pytest.mark.filterwarnings("ignore:Error validating header")
def test_damaged_tiles_are_an_error(tmp_path):
    path = tmp_path / "f.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image(dtype=np.int16), header())]).writeto(path)
    frames = tsogrid.open_frames(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"f\.fits.*copy or download"):
        frames["data"].load()
    with pytest.raises(InputError, match="truncated FITS file"):
        tsogrid.open_frames(path)


def test_calibration_frames_may_be_packed(tmp_path):
    for n in range(3):
        fits.PrimaryHDU(image(n), header(n)).writeto(tmp_path / f"f{n}.fits.gz")
        fits.PrimaryHDU(np.full((40, 50), 30 + n, np.int16), header(n)).writeto(tmp_path / f"bias{n}.fits.gz")
    settings = {"x": 22, "y": 20, "radius": 3, "sky": [{"method": "none"}], "center": FIXED}
    frames = tsogrid.open_frames(str(tmp_path / "f*.fits.gz"), gain=1.0)
    less = tsogrid.measure(frames, **settings, calibrate={"bias": str(tmp_path / "bias*.gz")}, input={"gain": 1.0})
    raw = tsogrid.measure(frames, **settings, input={"gain": 1.0})
    off = (raw["flux"] - less["flux"]).to_numpy().ravel()
    np.testing.assert_allclose(off, 31 * raw["aperture_area"].to_numpy().ravel(), rtol=1e-4)
