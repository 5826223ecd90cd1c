"""Registered nights: sources followed by the pattern of the stars, through blocks, stores and refusals."""

import json

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.config import Config
from tsogrid.engine.plan import make_plan
from tsogrid.errors import ConfigError
from tsogrid.flags import RegistrationFlag, SourceFlag
from tsogrid.simulate.wandering import simulate_wandering

FRAMES = 12
GAIN = {"gain": 1.0, "read_noise": 5.0}


@pytest.fixture(scope="module")
def night():
    return simulate_wandering(FRAMES, (300, 320), stars=50, faintest=8e3, jump=0.2, cloudy=0.25, hot_pixels=100, seed=11)


@pytest.fixture(scope="module")
def chosen(night):
    """Three stars, not the brightest, that all good frames hold."""
    inside = (night.x > 15) & (night.x < 305) & (night.y > 15) & (night.y < 285)
    near = np.hypot(night.x[0][:, None] - night.x[0], night.y[0][:, None] - night.y[0]) + 1e3 * np.eye(len(night.flux))
    alone = near.min(axis=1) > 14
    return np.flatnonzero(inside[night.good].all(axis=0) & alone)[:3]


@pytest.fixture(scope="module")
def folder(night, tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    for index, data in enumerate(night.data):
        header = fits.Header([("DATE-OBS", f"2024-03-14T03:{index:02d}:00"), ("EXPTIME", 30.0), ("GAIN", 1.0)])
        fits.PrimaryHDU(np.rint(data).astype(np.uint16), header).writeto(folder / f"n{index:03d}.fits")
    return folder


def stars_of(night, chosen, off=0.0):
    """Sources at the places of the first frame, as if read off a screen."""
    places = zip(night.x[0, chosen], night.y[0, chosen], strict=True)
    return [{"name": f"s{k}", "x": round(float(x)) + off, "y": round(float(y)) - off} for k, (x, y) in enumerate(places)]


def measured(night, chosen, block=4, data=None, **center):
    settings = {"center": {"registration": "on", **center}, "sources": stars_of(night, chosen), "input": GAIN}
    return tsogrid.measure(night.data if data is None else data, block=block, **settings)


def test_sources_are_followed_and_cloudy_frames_are_flagged(night, chosen):
    result = measured(night, chosen).compute()
    good = night.good
    distance = np.hypot(result.x - night.x[:, chosen], result.y - night.y[:, chosen]).to_numpy()
    assert distance[good].max() < 0.15
    assert np.isnan(distance[~good]).all()
    assert np.isnan(result.flux.to_numpy()[~good]).all()
    flags = result.flags.to_numpy()
    assert (flags[good] == 0).all()
    assert (flags[~good] & SourceFlag.NOT_REGISTERED != 0).all()
    assert (result.frame_flags.to_numpy()[~good] != 0).all()
    assert "not_registered" in result.flags.attrs["flag_meanings"]
    assert "too_few_stars" in result.frame_flags.attrs["flag_meanings"]
    assert "x_cc" not in result
    np.testing.assert_allclose(result.frame_shift_x[good], night.shift[good, 0], atol=0.1)
    np.testing.assert_allclose(result.frame_shift_y[good], night.shift[good, 1], atol=0.1)
    np.testing.assert_allclose(np.exp(1j * result.frame_rotation[good]), np.exp(1j * night.rotation[good]), atol=1e-3)
    np.testing.assert_allclose(result.frame_scale[good], night.scale[good], atol=1e-3)
    np.testing.assert_allclose(result.frame_transparency[good], night.transparency[good], rtol=0.05)
    assert result.frame_shift_x.attrs["units"] == "pixel"


def test_blocks_and_dask_change_no_bit(night, chosen):
    da = pytest.importorskip("dask.array")
    one = measured(night, chosen, block=1).compute()
    for other in (
        measured(night, chosen, block=5).compute(),
        measured(night, chosen, block=FRAMES, data=da.from_array(night.data, chunks=(2, 100, 320))).compute(),
    ):
        for name in one.data_vars:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_the_frame_on_which_positions_are_meant_may_be_another(night, chosen):
    frame = int(np.flatnonzero(night.good)[-1])
    places = zip(night.x[frame, chosen], night.y[frame, chosen], strict=True)
    sources = [{"name": f"s{k}", "x": float(x), "y": float(y)} for k, (x, y) in enumerate(places)]
    result = tsogrid.measure(night.data, center={"registration": {"frame": frame}}, sources=sources, input=GAIN)
    distance = np.hypot(result.x - night.x[:, chosen], result.y - night.y[:, chosen]).to_numpy()
    assert distance[night.good].max() < 0.15
    with pytest.raises(ConfigError, match="expected 0 … 11"):
        tsogrid.measure(night.data, center={"registration": {"frame": 12}}, sources=sources, input=GAIN)


def test_a_common_displacement_carries_sources_that_cannot_be_seen(night, chosen):
    """An empty place between the stars stays at its place among them."""
    empty = night.x[0, chosen[0]] + 9.0, night.y[0, chosen[0]] + 8.0
    sources = [*stars_of(night, chosen), {"name": "empty", "x": float(empty[0]), "y": float(empty[1])}]
    center = {"registration": "on", "position": "common", "fit_box": 9}
    result = tsogrid.measure(night.data, center=center, sources=sources, input=GAIN)
    good = night.good
    distance = np.hypot(result.x[:, :3] - night.x[:, chosen], result.y[:, :3] - night.y[:, chosen]).to_numpy()
    assert distance[good].max() < 0.2
    middle = np.array([159.5, 149.5])
    turned = night.scale * np.exp(1j * night.rotation) * complex(*(np.array(empty) - middle))
    there = complex(*middle) + night.shift @ [1, 1j] + turned
    away = np.abs((result.x[:, 3] + 1j * result.y[:, 3]).to_numpy() - there)
    assert away[good].max() < 0.25


def test_common_needs_no_registration(star_frames):
    sources = [{"name": "star", "x": 30.0, "y": 23.0}, {"name": "empty", "x": 12.0, "y": 12.0}]
    center = {"position": "common", "search_box": 11, "fit_box": 11}
    result = tsogrid.measure(star_frames, center=center, sources=sources, input=GAIN)
    np.testing.assert_allclose(result.x[:, 0], 30.3, atol=0.05)
    np.testing.assert_allclose(result.x[:, 1] - 12.0, result.x_fit[:, 0] - result.x_fit[0, 0], atol=0.05)


def test_files_are_registered_unasked_and_extended(night, chosen, folder, tmp_path):
    content = {
        "input": GAIN | {"files": [str(folder / f"n{index:03d}.fits") for index in range(1)]},
        "sources": stars_of(night, chosen),
        "output": {"store": str(tmp_path / "night.zarr"), "block": 2},
        "cluster": {"kind": "none"},
    }
    result = tsogrid.run(Config.from_mapping(content))
    assert result.attrs["registration"].startswith("auto: by ")
    assert "n000.fits" in result.attrs["registration"]
    assert json.loads(result.attrs["config"])["center"]["registration"] == {"frame": 0, "mirror": False}
    content["input"]["files"] = [str(folder)]
    config = Config.from_mapping(content)
    extended = tsogrid.run(config, mode="extend").compute()
    content["output"] = {"store": str(tmp_path / "fresh.zarr"), "block": 5}
    fresh = tsogrid.run(Config.from_mapping(content)).compute()
    assert np.isfinite(fresh.frame_scale.to_numpy()).sum() == night.good.sum()
    for name in fresh.data_vars:
        np.testing.assert_array_equal(extended[name], fresh[name], err_msg=name)
    frames = tsogrid.open_frames(config.input)
    assert make_plan(frames, config).identity() == make_plan(frames, config).identity()
    good = int(np.flatnonzero(night.good)[1])
    named = Config.from_mapping(content | {"center": {"registration": {"frame": f"n{good:03d}.fits"}}})
    assert make_plan(frames, named).identity() != make_plan(frames, config).identity()


@pytest.mark.parametrize(
    ("center", "why"),
    [
        ({"registration": "off"}, "off"),
        ({"predict": "none"}, "predict: none"),
        ({"position": "median"}, "position: median"),
        ({"guess": "median"}, "guess: median"),
    ],
)
def test_what_else_tells_where_stars_are_is_left_alone(night, chosen, folder, center, why):
    config = Config.from_mapping(
        {"input": GAIN | {"files": [str(folder)]}, "sources": stars_of(night, chosen), "center": center}
    )
    plan = make_plan(tsogrid.open_frames(config.input), config)
    assert why in plan.registration
    assert plan.recipe.pattern is None
    assert not [each.name for each in plan.variables() if each.name.startswith("frame_")]


def test_arrays_and_empty_fields_are_not_registered_unasked(night, chosen, folder, tmp_path):
    assert "frame_scale" not in tsogrid.measure(night.data, sources=stars_of(night, chosen), input=GAIN)
    rng = np.random.default_rng(0)
    for index in range(3):
        data = rng.normal(100, 3, (60, 60)).astype(np.float32)
        fits.PrimaryHDU(data, fits.Header([("DATE-OBS", f"2024-03-14T03:{index:02d}:00"), ("EXPTIME", 30.0)])).writeto(
            tmp_path / f"e{index}.fits"
        )
    content = {"input": GAIN | {"files": [str(tmp_path)]}, "sources": [{"name": "a", "x": 30, "y": 30}]}
    config = Config.from_mapping(content)
    assert "0 stars on frame 0 (e0.fits), fewer than 6" in make_plan(tsogrid.open_frames(config.input), config).registration
    asked = Config.from_mapping(content | {"center": {"registration": "on"}})
    with pytest.raises(ConfigError, match="expected at least 3 stars on frame 0"):
        make_plan(tsogrid.open_frames(asked.input), asked)


@pytest.mark.parametrize(
    "center",
    [{"position": "median"}, {"position": "smooth"}, {"guess": "median"}, {"repair": 5.0}, {"drift": {"file": "d.csv"}}],
)
def test_what_needs_places_of_the_series_is_refused_beside_it(center):
    with pytest.raises(ConfigError, match="expected registration alone"):
        Config.from_mapping({"center": {"registration": True, **center}})


def test_the_filter_along_time_is_refused_beside_it(night, chosen):
    with pytest.raises(ConfigError, match="the stars move"):
        tsogrid.measure(
            night.data,
            sources=stars_of(night, chosen),
            center={"registration": True},
            calibrate={"outliers": {}},
            input=GAIN,
        )


def test_the_reason_is_a_bit_of_its_own():
    assert len({int(bit) for bit in RegistrationFlag}) == len(RegistrationFlag)


def test_detected_stars_are_followed_from_the_frame_they_were_found_on(night, folder, tmp_path):
    """The first frame shows fewer stars: another is searched, and the frames are registered to that one."""
    paths = sorted(folder.iterdir())
    first = fits.getdata(paths[0]).astype(float)
    dim = np.random.default_rng(1).normal(200.0, 30.0, first.shape) + 0.1 * (first - 200.0)
    fits.writeto(tmp_path / "n000.fits", np.rint(dim).astype(np.uint16), fits.getheader(paths[0]))
    files = [str(tmp_path / "n000.fits"), *map(str, paths[1:])]
    sources = {"detect": {"brightest": 6, "border": 20, "keep": "good"}}
    result = tsogrid.measure(files, sources=sources, input=GAIN).compute()
    frame = json.loads(result.attrs["config"])["center"]["registration"]["frame"]
    assert frame in (1, 2)
    x, y = result.x.to_numpy(), result.y.to_numpy()
    stars = [int(np.argmin(np.hypot(night.x[frame] - x[frame, k], night.y[frame] - y[frame, k]))) for k in range(6)]
    tx, ty = night.x[:, stars], night.y[:, stars]
    inside = (tx > 10) & (tx < 309) & (ty > 10) & (ty < 289) & night.good[:, None]
    inside[0] = False
    assert np.hypot(x - tx, y - ty)[inside].max() < 0.5  # one has a faint star in its wing
    by_hand = {"sources": [*stars_of(night, [0]), {"detect": {"brightest": 3, "reference_frame": frame}}], "input": GAIN}
    with pytest.raises(ConfigError, match=r"detect.reference_frame: expected 0, on which the pixels of s0 are meant"):
        tsogrid.measure(files, **by_hand)
