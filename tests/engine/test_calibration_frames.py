"""Raw nights come back as light curves: photon-limited, with errors that fit their scatter, whatever the block."""

import dask.array as da
import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tests.raw_nights import Camera, night
from tsogrid import Config
from tsogrid.cli.main import main
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.flags import ApertureFlag, SourceFlag

RADIUS, SIGMA = 6.0, 1.6
INSIDE = 1 - np.exp(-(RADIUS**2) / 2 / SIGMA**2)
FLUX = (6e4, 9e4, 3e4)
ALL = {"overscan": "auto", "bias": "bias*.fits", "dark": "dark*.fits", "flat": "flat*.fits"}


def config_of(folder, camera, places, calibrate=ALL, **sections):
    """A run of a simulated night; calibration files are named relative to its folder."""

    def there(value):
        if isinstance(value, dict) and "files" in value:
            return value | {"files": there(value["files"])}
        if isinstance(value, list):
            return [there(each) for each in value]
        return str(folder / value) if isinstance(value, str) and value.endswith(".fits") else value

    content = {
        "input": {"files": str(folder / "star*.fits"), "gain": camera.gain[0], "read_noise": camera.read_noise},
        "sources": [{"name": f"star{n}", "x": float(x), "y": float(y)} for n, (x, y) in enumerate(places)],
        "calibrate": {key: there(value) for key, value in calibrate.items()},
        "apertures": [{"shape": "circle", "radius": [RADIUS]}],
        "sky": [{"method": "annulus", "inner": 11, "outer": 18, "statistic": "mean"}],
        "center": {"method": "none", "position": "fixed"},
        "output": {"store": str(folder / "night.zarr")},
        "cluster": {"kind": "none"},
    }
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section if isinstance(section, dict) else section
    return Config.from_mapping(content)


def light_curves(result):
    return result["flux"].to_numpy()[:, :, 0, 0], result["flux_err"].to_numpy()[:, :, 0, 0]


CAMERAS = {
    "two amplifiers": Camera(),
    "one amplifier": Camera(amplifiers=1, gain=(0.5,), read_noise=9.0, seed=3),
    "coarse numbers": Camera(gain=(4.0, 4.0), read_noise=12.0, overscan=16, seed=5),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=list(CAMERAS))
def test_a_night_is_photon_limited_and_its_errors_fit(camera, tmp_path):
    places, _ = night(tmp_path, camera, frames=200, flux=FLUX, wander=0.0, seed=camera.seed)
    result = tsogrid.run(config_of(tmp_path, camera, places))
    flux, error = light_curves(result)
    assert not result["flags"].any()
    assert not result["aperture_flags"].any()
    gain = camera.gain[0]
    np.testing.assert_allclose(flux.mean(axis=0) * gain, INSIDE * np.array(FLUX), rtol=4e-3)
    pulls = (flux - flux.mean(axis=0)) / error
    assert np.sqrt((pulls**2).sum() / (pulls.size - len(FLUX))) == pytest.approx(1, abs=0.05)
    # Nothing but photons of star, sky and dark, and read noise: to the same in electrons by hand.
    area = np.pi * RADIUS**2
    electrons = INSIDE * np.array(FLUX) + area * (80 + camera.dark_rate * 60 + camera.read_noise**2)
    assert np.median(flux.std(axis=0) * gain / np.sqrt(electrons)) == pytest.approx(1, abs=0.12)


def test_without_the_flat_a_moving_star_shows_it(tmp_path):
    camera = Camera()
    places, true = night(tmp_path, camera, frames=60, wander=2.0)
    rows = [f"{t},star{n},{x},{y}" for t, here in enumerate(true) for n, (x, y) in enumerate(here)]
    (tmp_path / "p.csv").write_text("\n".join(["frame,source,x,y", *rows]))
    moving = {"method": "none", "position": "file", "position_file": str(tmp_path / "p.csv")}
    scatter = {}
    for name, calibrate in (("with", ALL), ("without", {key: ALL[key] for key in ("overscan", "bias", "dark")})):
        config = config_of(
            tmp_path, camera, places, calibrate, center=moving, output={"store": str(tmp_path / f"{name}.zarr")}
        )
        flux, error = light_curves(tsogrid.run(config))
        scatter[name] = (flux.std(axis=0) / np.sqrt((error**2).mean(axis=0))).mean()
    assert scatter["with"] < 1.15
    assert scatter["without"] > 2


def test_amplifiers_with_gains_of_their_own(tmp_path):
    camera = Camera(gain=(1.0, 2.0))
    places, _ = night(tmp_path, camera, frames=120, flux=(6e4, 9e4), wander=0.0)
    (one, seen), (two, also) = camera.sections()
    amplifiers = [
        {"section": one, "data": seen, "gain": 1.0, "read_noise": 6.0},
        {"section": two, "data": also, "gain": 2.0, "read_noise": 6.0},
    ]
    calibrate = ALL | {"overscan": {"amplifiers": amplifiers}}
    result = tsogrid.run(config_of(tmp_path, camera, places, calibrate))
    flux, error = light_curves(result)
    # The flat brings both to one scale, and the ratio of the stars is that of their photons.
    assert (flux[:, 1] / flux[:, 0]).mean() == pytest.approx(1.5, rel=3e-3)
    assert (flux.std(axis=0) / error.mean(axis=0)).mean() == pytest.approx(1, abs=0.08)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    camera = Camera(ny=70, nx=90)
    places, _ = night(folder, camera, frames=14, flux=(6e4,), wander=0.3, counts=(5, 3, 3))
    return folder, camera, places


def same_bits(first, second):
    for name in first.data_vars:
        assert first[name].to_numpy().tobytes() == second[name].to_numpy().tobytes(), name


@pytest.mark.parametrize(
    "overscan", ["auto", {"order": 3}, {"statistic": "median", "skip": 2}], ids=["rows", "polynomial", "median"]
)
def test_blocks_windows_and_dask_give_the_same_bits(small, overscan):
    folder, camera, places = small
    config = config_of(folder, camera, places, ALL | {"overscan": overscan}, output={"store": None})
    frames = tsogrid.open_frames(config.input)
    one = tsogrid.measure(frames, config, block=1).compute(scheduler="sync")
    for block in (5, 14):
        same_bits(one, tsogrid.measure(frames, config, block=block).compute(scheduler="sync"))
    lazy = frames.copy()
    for name in lazy.data_vars:
        lazy[name] = (lazy[name].dims, da.from_array(lazy[name].to_numpy(), chunks=(4, -1, -1)), lazy[name].attrs)
    same_bits(one, tsogrid.measure(lazy, config, block=5).compute(scheduler="threads"))
    whole = config.model_copy(update={"center": config.center.model_copy(update={"method": "gaussian", "sky": "frame"})})
    assert np.isfinite(tsogrid.measure(frames, whole).compute(scheduler="sync")["flux"]).all()


def test_overscan_pixels_are_bad_and_positions_are_those_of_the_raw_frame(small):
    folder, camera, _ = small
    config = config_of(folder, camera, [(26.0, 30.0)], output={"store": None})
    result = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    flags = result["aperture_flags"].to_numpy()
    assert ((flags & int(ApertureFlag.BAD_PIXEL)) != 0).all()
    assert ((flags & int(ApertureFlag.OFF_FRAME)) == 0).all()
    assert (result["aperture_area"] < np.pi * RADIUS**2 - 10).all()
    config = config_of(folder, camera, [(8.0, 30.0)], output={"store": None})
    assert (tsogrid.measure(tsogrid.open_frames(config.input), config)["flags"].compute() & int(SourceFlag.NO_DATA)).all()


def test_saturation_is_judged_on_raw_pixels(small):
    folder, camera, places = small
    raw = fits.getdata(sorted(folder.glob("star*.fits"))[0])
    peak = float(raw[int(places[0][1]) - 5 : int(places[0][1]) + 6, int(places[0][0]) - 5 : int(places[0][0]) + 6].max())
    for level, full in ((peak - 1, True), (peak + 2000, False)):
        calibrate = ALL | {"saturation": {"level": level}}
        config = config_of(folder, camera, places, calibrate, output={"store": None})
        flux = tsogrid.measure(tsogrid.open_frames(config.input), config)["flux"].isel(time=0).compute()
        assert bool(np.isnan(flux).all()) is full


def test_without_a_gain_errors_are_unknown(small):
    folder, camera, places = small
    config = config_of(folder, camera, places, input={"gain": None, "read_noise": None}, output={"store": None})
    frames = tsogrid.open_frames(config.input)
    with pytest.warns(TsogridWarning, match="all errors are NaN"):
        result = tsogrid.measure(frames, config).compute(scheduler="sync")
    assert np.isfinite(result["flux"]).all()
    assert np.isnan(result["flux_err"]).all()


def test_the_noise_of_masters_is_added_where_it_is_asked_for(small):
    folder, camera, places = small
    found = {}
    for errors in ("frame", "all"):
        config = config_of(folder, camera, places, ALL | {"errors": errors}, output={"store": None})
        found[errors] = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    assert (found["all"]["flux_err"] > found["frame"]["flux_err"]).all()
    np.testing.assert_array_equal(found["all"]["flux"], found["frame"]["flux"])


def test_electrons_are_data_units_times_the_gain(small):
    folder, camera, places = small
    found = {}
    for units in ("native", "electron"):
        config = config_of(folder, camera, places, input={"units": units}, output={"store": None})
        found[units] = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    for name in ("flux", "flux_err", "aperture_sum_err"):
        np.testing.assert_allclose(found["electron"][name], 1.4 * found["native"][name], rtol=1e-5)


@pytest.mark.slow
def test_worker_processes_give_the_same_bits(small, tmp_path):
    folder, camera, places = small
    found = []
    for kind in ("none", "local"):
        output = {"store": str(tmp_path / f"{kind}.zarr"), "block": 3}
        cluster = {"kind": kind} | ({"workers": 2} if kind == "local" else {})
        found.append(tsogrid.run(config_of(folder, camera, places, output=output, cluster=cluster)).load())
    same_bits(*found)


def test_bad_columns_and_dark_corners_of_the_flat(small, tmp_path):
    folder, camera, places = small
    x, y = (round(value) for value in places[0])
    flat = np.ones((camera.ny, camera.width), np.float32)
    flat[y + 2, x] = 0
    flat[y + 3, x] = np.nan
    fits.PrimaryHDU(flat).writeto(tmp_path / "flat.fits")
    calibrate = {
        "overscan": True,
        "bias": "bias*.fits",
        "flat": str(tmp_path / "flat.fits"),
        "bad_columns": [x - 2, f"{x + 4}:{x + 5}"],
    }
    config = config_of(folder, camera, places, calibrate, output={"store": None})
    result = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    clean = config_of(folder, camera, places, calibrate | {"bad_columns": [], "flat": None}, output={"store": None})
    without = tsogrid.measure(tsogrid.open_frames(clean.input), clean).compute(scheduler="sync")
    assert not without["bad_pixels"].any()
    lost = sum(2 * int(np.sqrt(RADIUS**2 - d**2)) for d in (2, 4, 5))
    assert (result["bad_pixels"] >= lost).all()


def test_cosmic_rays_are_found_in_every_frame(small, tmp_path):
    folder, camera, places = small
    x, y = (round(value) for value in places[0])
    for path in sorted(folder.glob("star*.fits")):
        data, header = fits.getdata(path, header=True)
        data[y + 5, x - 2 : x + 2] += 3000
        fits.PrimaryHDU(data, header).writeto(tmp_path / path.name)
    found = {}
    for name, cosmic, where in (("clean", False, folder), ("hit", False, tmp_path), ("found", True, tmp_path)):
        config = config_of(folder, camera, places, ALL | {"cosmic_rays": cosmic}, output={"store": None})
        config = config.model_copy(update={"input": config.input.model_copy(update={"files": [str(where / "star*.fits")]})})
        found[name] = tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="sync")
    assert (found["hit"]["flux"] > 1.1 * found["clean"]["flux"]).all()
    np.testing.assert_allclose(found["found"]["flux"], found["clean"]["flux"], rtol=0.02)
    assert (found["found"]["bad_pixels"] >= 4).mean() > 0.9


@pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")
def test_cosmic_rays_need_errors(small):
    folder, camera, places = small
    config = config_of(folder, camera, places, {"cosmic_rays": True}, input={"gain": None}, output={"store": None})
    frames = tsogrid.open_frames(config.input)
    with pytest.raises(ConfigError, match="cosmic_rays: expected errors"):
        tsogrid.measure(frames, config)


def test_the_command_line_says_what_is_applied(small, tmp_path, capsys):
    def said(*arguments):
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        assert not left.value.code
        return capsys.readouterr().out

    folder, _, places = small
    text = f"""
input: {{files: "{folder}/star*.fits", gain: 1.4, read_noise: 6}}
sources: [{{name: target, x: {places[0][0]}, y: {places[0][1]}}}]
calibrate: {{overscan: auto, bias: "{folder}/bias*.fits", dark: "{folder}/dark*.fits", flat: "{folder}/flat*.fits"}}
output: {{store: n.zarr}}
"""
    (tmp_path / "night.yaml").write_text(text)
    out = said("run", str(tmp_path / "night.yaml"), "--dry-run")
    assert "bias of 5 frames (bias0000.fits … bias0004.fits)" in out
    assert "× 0.333333" in out
    assert "flat of 3 frames" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night.yaml"]
    out = said("inspect", str(tmp_path / "night.yaml"))
    assert "overscan [1:24,1:70] for [25:69,1:70]" in out
    assert "5 raw frames" in out


@pytest.mark.parametrize(
    ("calibrate", "error", "words"),
    [
        ({"bias": "none*.fits"}, InputError, "calibrate.bias: .*expected files that match"),
        ({"dark": "dark*.fits"}, ConfigError, "expected a dark of 60 s like the frames, found 180 s"),
        ({"flat": "flat*.fits"}, ConfigError, "expected calibrate.bias, overscan or dark beside raw flats"),
        ({"bias": "bias*.fits", "flat": {"files": "flat*.fits", "filter": "B"}}, InputError, "in the filter B .*found V"),
        ({"bias": "bias*.fits", "flat": "bias*.fits"}, InputError, "Is it a flat"),
        ({"overscan": "[1:24,1:71]"}, InputError, "inside the frame of 138 × 70"),
        ({"overscan": "GAIN"}, ConfigError, "or a header keyword that holds one, found 'GAIN'.*BIASSEC1"),
        ({"overscan": {"amplifiers": ["x"]}}, ConfigError, "amplifiers"),
        ({"gain": 1.5}, ConfigError, "gain stands under input"),
        ({"bad_columns": [138]}, ConfigError, "expected columns 0 … 137"),
        ({"bias": {"files": ["bias0000.fits", "bias0001.fits"], "raw": False}}, InputError, "expected one master"),
    ],
)
def test_what_cannot_be_applied_is_said(small, calibrate, error, words):
    folder, camera, places = small

    def measured():
        config = config_of(folder, camera, places, calibrate, output={"store": None})
        return tsogrid.measure(tsogrid.open_frames(config.input), config)

    with pytest.raises(error, match=words):
        measured()
