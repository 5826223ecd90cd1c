"""Masters: combined in bands, kept by what they were made of, made anew when that changes or the kept file is damaged."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tests.engine.test_calibration_frames import ALL, config_of, same_bits
from tests.raw_nights import Camera, night, write_frames
from tsogrid.config import InputConfig, Master
from tsogrid.engine import masters
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.io.calibration_frames import calibration_files


@pytest.fixture
def small(tmp_path):
    camera = Camera(ny=70, nx=90, amplifiers=1, gain=(1.4,))
    places, _ = night(tmp_path, camera, frames=6, flux=(6e4,), wander=0.3, counts=(5, 3, 3))
    return tmp_path, camera, places


def test_a_run_keeps_its_masters_and_the_next_one_reads_them(small, monkeypatch):
    folder, camera, places = small
    first = tsogrid.run(config_of(folder, camera, places)).load()
    kept = sorted((folder / "masters").iterdir())
    assert [path.name.split("-")[0] for path in kept] == ["bias", "dark", "flat"]
    header = fits.getheader(kept[0])
    assert header["NCOMBINE"] == 5
    assert [str(line) for line in header["HISTORY"]] == [f"bias000{n}.fits" for n in range(5)]

    def never(*_):
        raise AssertionError("a master was made again")

    with monkeypatch.context() as patch:
        patch.setattr(masters, "_combine", never)
        second = tsogrid.run(config_of(folder, camera, places, output={"store": str(folder / "b.zarr")})).load()
    same_bits(first, second)
    kept[0].write_bytes(kept[0].read_bytes()[:3000])  # damaged: made again
    third = tsogrid.run(config_of(folder, camera, places, output={"store": str(folder / "c.zarr")})).load()
    same_bits(first, third)
    assert fits.getheader(kept[0])["NCOMBINE"] == 5


def test_a_changed_raw_frame_makes_another_run(small):
    folder, camera, places = small
    config = config_of(folder, camera, places)
    tsogrid.run(config)
    path = folder / "bias0002.fits"
    data, header = fits.getdata(path, header=True)
    data[:, :40] += np.uint16(9)  # not the overscan, which would take it off again
    fits.PrimaryHDU(data, header).writeto(path, overwrite=True)
    with pytest.raises(tsogrid.errors.IdentityError, match=r"calibrate\.hashes\.bias"):
        tsogrid.run(config)
    assert len(list((folder / "masters").glob("bias-*.fits"))) == 2


def test_masters_that_are_ready_give_what_raw_frames_give(small, tmp_path):
    folder, camera, places = small
    first = tsogrid.run(config_of(folder, camera, places)).load()
    kept = {path.name.split("-")[0]: path for path in (folder / "masters").iterdir()}
    fits.setval(kept["dark"], "EXPTIME", value=180.0)
    ready = {"overscan": "auto"} | {key: str(path) for key, path in kept.items()}
    second = tsogrid.run(config_of(folder, camera, places, ready, output={"store": str(folder / "b.zarr")})).load()
    np.testing.assert_allclose(second["flux"], first["flux"], rtol=1e-6)
    # And without the overscan's columns, as other programs trim them.
    trimmed = {"overscan": "auto"}
    for key, path in kept.items():
        data, header = fits.getdata(path, header=True)
        trimmed[key] = str(tmp_path / f"trimmed_{key}.fits")
        fits.PrimaryHDU(data[:, : camera.nx], header).writeto(trimmed[key])
    third = tsogrid.run(config_of(folder, camera, places, trimmed, output={"store": str(folder / "c.zarr")})).load()
    np.testing.assert_allclose(third["flux"], first["flux"], rtol=1e-6)
    fits.PrimaryHDU(data[:-1]).writeto(tmp_path / "odd.fits")
    with pytest.raises(InputError, match=r"expected 114 × 70 pixels .*or 90 × 70 without the overscan, found 114 × 69"):
        tsogrid.run(config_of(folder, camera, places, {"overscan": "auto", "bias": str(tmp_path / "odd.fits")}))


def test_a_master_that_still_holds_its_overscan_is_told(small, tmp_path):
    folder, camera, places = small
    stack = np.median([fits.getdata(path).astype(float) for path in sorted(folder.glob("bias*.fits"))], axis=0)
    fits.PrimaryHDU(stack).writeto(tmp_path / "master.fits")
    calibrate = ALL | {"bias": {"files": str(tmp_path / "master.fits")}}
    with pytest.warns(TsogridWarning, match=r"a level of 10\d\d there.*raw: true"):
        tsogrid.run(config_of(folder, camera, places, calibrate, output={"store": str(folder / "a.zarr")}))
    calibrate["bias"]["raw"] = True
    result = tsogrid.run(config_of(folder, camera, places, calibrate))
    reference = tsogrid.run(config_of(folder, camera, places, output={"store": str(folder / "b.zarr")}))
    np.testing.assert_allclose(result["flux"], reference["flux"], rtol=0.02)


def test_darks_of_the_same_exposure_time_need_no_bias(small):
    folder, camera, places = small
    rng = np.random.default_rng(8)
    zero = np.zeros((camera.ny, camera.nx))
    write_frames(folder, "matched", [(camera.expose(zero, 60.0, rng), 60.0) for _ in range(5)], camera)
    write_frames(folder, "matchedlong", [(camera.expose(zero, 300.0, rng), 300.0) for _ in range(2)], camera)
    config = config_of(folder, camera, places, {"dark": "matched*.fits"}, output={"store": None})
    result = tsogrid.measure(tsogrid.open_frames(config.input), config)
    assert result.attrs["calibration"].startswith("dark ")
    reference = config_of(folder, camera, places, ALL, output={"store": None})
    other = tsogrid.measure(tsogrid.open_frames(reference.input), reference)
    np.testing.assert_allclose(result["flux"], other["flux"], rtol=0.1)
    config = config_of(folder, camera, places, {"dark": "matchedlong*.fits"}, output={"store": None})
    with pytest.raises(ConfigError, match="expected a dark of 60 s"):
        tsogrid.measure(tsogrid.open_frames(config.input), config)


def test_frames_in_several_filters_take_their_own_flats(small):
    folder, camera, places = small
    for n, path in enumerate(sorted(folder.glob("star*.fits"))):
        fits.setval(path, "FILTER", value="R" if n % 2 else "V")
    rng = np.random.default_rng(4)
    lit = np.full((camera.ny, camera.nx), 30000.0)
    lit[:, 5:42] *= 0.8  # about the star, in R
    write_frames(folder, "rflat", [(camera.expose(lit, 5.0, rng), 5.0) for _ in range(3)], camera, FILTER="R")
    calibrate = ALL | {"flat": {"files": ["flat*.fits", "rflat*.fits"]}}
    config = config_of(folder, camera, places, calibrate, output={"store": None})
    one, other = (tsogrid.measure(tsogrid.open_frames(config.input), config, block=n)["flux"].compute() for n in (1, 6))
    np.testing.assert_array_equal(one, other)
    ratio = float(one[1::2].mean() / one[::2].mean())
    level = np.median(lit / 30000 * camera.maps["flat"])  # to which the flat in R is brought
    assert ratio == pytest.approx(level / 0.8, rel=0.02)


def test_frames_of_several_exposure_times_are_less_their_own_dark(small):
    folder, camera, _ = small
    rng = np.random.default_rng(9)
    dark = camera.maps["dark"].copy()
    camera.maps["dark"] = dark * 20
    zero = np.zeros((camera.ny, camera.nx))
    write_frames(folder, "hot", [(camera.expose(zero, 100.0, rng), 100.0) for _ in range(9)], camera)
    frames = [(camera.expose(zero + 200.0, seconds, rng), seconds) for seconds in (20.0, 60.0, 20.0, 120.0)]
    write_frames(folder, "blank", frames, camera, FILTER="V")
    calibrate = {"overscan": "auto", "bias": "bias*.fits", "dark": "hot*.fits"}
    config = config_of(folder, camera, [(40.0, 30.0)], calibrate, sky=[{"method": "none"}], output={"store": None})
    config = config.model_copy(update={"input": config.input.model_copy(update={"files": [str(folder / "blank*.fits")]})})
    result = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    level = result["flux"].to_numpy().ravel() * camera.gain[0] / result["aperture_area"].to_numpy().ravel()
    np.testing.assert_allclose(level, 200, atol=12)


def test_combining_leaves_hits_out_and_knows_its_error(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    truth = rng.uniform(100, 200, (40, 30))
    for n in range(8):
        frame = truth + rng.normal(0, 3, truth.shape)
        frame[3, n] += 500  # a hit in each frame
        frame[5, 5] = np.nan
        if n < 7:
            frame[6, 6] = np.nan
        fits.PrimaryHDU(frame).writeto(tmp_path / f"d{n}.fits")
    found = {}
    for how in ("clipped-mean", "median"):
        master = Master(files=[str(tmp_path / "d*.fits")], combine=how)
        files = calibration_files(master, InputConfig(), "bias")
        for band in (1e3, 1e9):
            monkeypatch.setattr(masters, "BAND_BYTES", band)
            found[how, band] = masters.combined(
                files, lambda file, row, rows: file.read(row, rows=rows), master, truth.shape
            )
        for one, other in zip(found[how, 1e3], found[how, 1e9], strict=True):
            np.testing.assert_array_equal(one, other)
        data, error = found[how, 1e9]
        assert np.isnan(data[5, 5])
        assert np.isfinite(data[6, 6])
        good = np.isfinite(data)
        assert np.abs(data - truth)[3].max() < 6
        inside = good & np.isfinite(error)
        off = (data - truth)[inside]
        assert off.std() * np.sqrt(8) / 3 == pytest.approx(1.0 if how == "clipped-mean" else 1.2, abs=0.1)
        assert np.sqrt((error[inside] ** 2).mean()) == pytest.approx(off.std(), rel=0.15)
