"""Forced photometry of a catalogue: against photutils, against one star at a time, its flags, and a run that is killed."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from photutils.aperture import CircularAperture

import tsogrid
from tests.engine.test_run import kill_when, start
from tests.engine.test_store import assert_same_bytes
from tsogrid.engine import store
from tsogrid.engine.plan import make_plan
from tsogrid.engine.recipe import make_recipe
from tsogrid.engine.windows import plan_windows
from tsogrid.errors import TsogridWarning
from tsogrid.flags import ApertureFlag, SourceFlag
from tsogrid.simulate import simulate_stars

SHAPE, STARS, RADII = (200, 240), 150, [2.0, 3.5, 6.0]
SKY = [{"method": "annulus", "inner": 9, "outer": 14}]


def celestial(number):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 20.0]
    wcs.wcs.crpix = [SHAPE[1] / 2 + 1.7 * number, SHAPE[0] / 2 - 0.9 * number]
    turn = 2e-3 * number
    wcs.wcs.cd = 2e-4 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return wcs


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Eight frames that wander and turn, and the catalogue of their stars, some of them outside at times."""
    folder = tmp_path_factory.mktemp("forced")
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-6, SHAPE[1] + 5, STARS), rng.uniform(-6, SHAPE[0] + 5, STARS)
    flux = 10 ** rng.uniform(3.5, 5, STARS)
    sky = celestial(0).all_pix2world(x, y, 0)
    places = []
    for number in range(8):
        places.append(np.stack(celestial(number).all_world2pix(*sky, 0), axis=-1))
        made = simulate_stars(1, SHAPE, *places[-1].T, flux, fwhm=3, sky=100, read_noise=4, seed=number)
        header = celestial(number).to_header()
        header["JD"], header["EXPTIME"] = 2460000.5 + number / 1000, 0.0
        fits.PrimaryHDU(made.data[0].astype(np.float32), header).writeto(folder / f"f{number}.fits")
    Table({"name": [f"s{i}" for i in range(STARS)], "ra": sky[0], "dec": sky[1]}).write(folder / "stars.ecsv")
    return folder, np.array(places), flux


def config_of(folder, **sections):
    return tsogrid.Config.from_mapping(
        {
            "input": {"files": [str(folder / "f*.fits")], "gain": 1.0, "read_noise": 4.0},
            "sources": str(folder / "stars.ecsv"),
            "center": {"method": "none", "position": "fixed"},
            "apertures": [{"shape": "circle", "radius": RADII}],
            "sky": SKY,
            **sections,
        }
    )


def test_sums_are_those_of_photutils_at_the_places_of_the_wcs(night):
    folder, places, flux = night
    result = tsogrid.measure(str(folder / "f*.fits"), config_of(folder)).compute()
    np.testing.assert_allclose(result["x"], places[..., 0], atol=1e-6)
    for number in (0, 7):
        data = fits.getdata(folder / f"f{number}.fits").astype(float)
        for index, radius in enumerate(RADII):
            masks = CircularAperture(places[number], radius).to_mask(method="exact")
            peer = np.array([0.0 if (seen := mask.multiply(data)) is None else seen.sum() for mask in masks])
            inside = (result["aperture_flags"][number, :, index] & int(ApertureFlag.OFF_FRAME)) == 0
            np.testing.assert_allclose(result["aperture_sum"][number, :, index][inside], peer[inside], rtol=1e-6)
    lonely = ((result["aperture_flags"] & 0x1FF) == 0).all("time").sel(aperture="r6").to_numpy()
    assert lonely.sum() > 15
    ratio = result["flux"].sel(aperture="r3.5").squeeze("sky")[:, lonely].mean("time").to_numpy() / flux[lonely]
    assert np.median(ratio) == pytest.approx(1 - 0.5 ** (4 * (3.5 / 3) ** 2), abs=0.02)
    one = result.sel(source="s7")
    np.testing.assert_array_equal(one["x"], result["x"][:, 7])


def test_a_star_alone_has_the_same_bits(night):
    folder, _, _ = night
    everything = tsogrid.measure(str(folder / "f*.fits"), config_of(folder), block=3).compute()
    catalogue = {"catalogue": str(folder / "stars.ecsv"), "only": ["s3", "s77", "s149"]}
    few = tsogrid.measure(str(folder / "f*.fits"), config_of(folder, sources=catalogue), block=8).compute()
    for name in ("flux", "flux_err", "sky_level", "x", "flags"):
        np.testing.assert_array_equal(everything[name].sel(source=few["source"]), few[name])


def test_stars_outside_a_frame_are_nan_and_flagged(night):
    folder, places, _ = night
    result = tsogrid.measure(str(folder / "f*.fits"), config_of(folder)).compute()
    off = ((places < -0.5) | (places > np.array(SHAPE[::-1]) - 0.5)).any(axis=2)
    assert off.any(axis=0).sum() > off.all(axis=0).sum() > 0
    np.testing.assert_array_equal((result["flags"] & int(SourceFlag.POSITION_OFF_FRAME)) > 0, off)
    far = ((places < -6.5) | (places > np.array(SHAPE[::-1]) + 5.5)).any(axis=2)
    assert np.isnan(result["flux"].to_numpy()[far]).all()
    lost = (result["aperture_flags"].to_numpy() & int(ApertureFlag.NO_PIXELS)) > 0
    assert lost[far].all()


def test_neighbours_are_flagged_by_the_rule(night):
    folder, places, _ = night
    result = tsogrid.measure(str(folder / "f*.fits"), config_of(folder)).compute()
    distance = np.hypot(*np.moveaxis(places[:, :, None] - places[:, None], -1, 0))
    distance[:, np.arange(STARS), np.arange(STARS)] = np.inf
    nearest = distance.min(axis=2)[:, :, None]
    flags = result["aperture_flags"].to_numpy()
    np.testing.assert_array_equal((flags & int(ApertureFlag.NEIGHBOUR)) > 0, nearest < RADII)
    np.testing.assert_array_equal((flags & int(ApertureFlag.OVERLAP)) > 0, nearest < 2 * np.array(RADII))
    shapes = [
        {"shape": "rectangle", "width": 9, "height": 4},
        {"shape": "annulus", "inner": 2, "outer": 4},
        {"shape": "frame"},
    ]
    result = tsogrid.measure(str(folder / "f*.fits"), config_of(folder, apertures=shapes)).compute()
    flags = result["aperture_flags"].to_numpy()
    dx, dy = (np.abs(places[:, :, None, axis] - places[:, None, :, axis]) for axis in (0, 1))
    own = np.eye(STARS, dtype=bool)
    overlap, inside = (((dx < 9 / k) & (dy < 4 / k) & ~own).any(axis=2) for k in (1, 2))
    np.testing.assert_array_equal((flags[:, :, 0] & int(ApertureFlag.OVERLAP)) > 0, overlap)
    np.testing.assert_array_equal((flags[:, :, 0] & int(ApertureFlag.NEIGHBOUR)) > 0, inside)
    np.testing.assert_array_equal((flags[:, :, 1] & int(ApertureFlag.OVERLAP)) > 0, nearest[:, :, 0] < 8)
    assert not (flags[:, :, 2] & int(ApertureFlag.OVERLAP | ApertureFlag.NEIGHBOUR)).any()


def test_many_small_windows_are_read_as_one():
    config = config_of_stars(apertures=[{"shape": "circle", "radius": 2}], sky=[{"method": "none"}])
    recipe = make_recipe(config, {"gain": 1.0}, {}, (400, 400), False, np.ones((3, 3)))
    places = np.stack(np.meshgrid(np.arange(10, 400, 30), np.arange(10, 400, 30)), axis=-1).reshape(1, -1, 2).astype(float)
    assert len(plan_windows(recipe, places[:, :4], (400, 400))) == 4
    (window,) = plan_windows(recipe, places, (400, 400))
    assert window.sources == tuple(range(169))


def config_of_stars(**sections):
    return tsogrid.Config.from_mapping({"center": {"method": "none", "position": "fixed"}, **sections})


def test_a_shard_holds_bounded_memory():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)  # of errors, which need a gain
        frames = tsogrid.open_frames(np.broadcast_to(np.float32(1), (20_000, 8, 8)))
        few, many = (
            make_plan(frames, config_of_stars(sources=[{"name": f"s{i}", "x": 4, "y": 4} for i in range(count)]), 10)
            for count in (1, 5000)
        )
    assert store.shard_length(few, 10) == 420  # 48 shards
    assert store.shard_length(many, 10) < 420
    bytes_of_shard = store.shard_length(many, 10) * 5000 * (3 * (7 * 8 + 2 * 4) + 5 * 8 + 4)
    assert 0.9 * store.SHARD_BYTES < bytes_of_shard <= store.SHARD_BYTES


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", ["none", "local"])
def test_a_killed_run_over_a_catalogue_goes_on(night, tmp_path, kind):
    folder, _, _ = night
    config = config_of(
        folder, output={"store": str(tmp_path / "a.zarr"), "block": 1}, cluster={"kind": kind, "workers": 2}
    )  # fmt: skip
    assert kill_when(start(config, tmp_path), tmp_path / "a.zarr", 2) >= 2
    kept = config_of(folder, output={"store": str(tmp_path / "a.zarr"), "block": 1}, cluster={"kind": kind, "workers": 2})
    tsogrid.run(kept, mode="resume").close()
    whole = config_of(folder, output={"store": str(tmp_path / "b.zarr"), "block": 1}, cluster={"kind": "none"})
    tsogrid.run(whole).close()
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")
