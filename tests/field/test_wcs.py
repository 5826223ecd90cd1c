"""Sources given by ra and dec: every frame is planned by its own world coordinates."""

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import tsogrid
from tests.field.conftest import SHAPE, SKY, celestial, config_of
from tsogrid.engine.plan import make_plan
from tsogrid.engine.run import prepared
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.field.wcs import celestial_wcs, sky_to_pixel, sky_to_pixels

PLACES = np.array([(30.2, 23.7), (33.4, 22.1), (28.8, 26.3), (31.0, 24.0)])
ON_SKY = [{"name": "star", "ra": SKY[0], "dec": SKY[1]}]
BEYOND = [{"name": "star", "ra": SKY[0], "dec": SKY[1]}, {"name": "fixed", "x": 12.0, "y": 14.0}]


def text_of(header):
    return "\n".join(str(card) for card in header.cards)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(-100, 100), y=st.floats(-100, 100), rotation=st.floats(0, 6.3),
    ra=st.floats(149.9, 150.1), dec=st.floats(19.9, 20.1), kind=st.sampled_from(["TAN", "SIN", "ZEA"]),
)  # fmt: skip
def test_pixels_are_those_of_astropy(x, y, rotation, ra, dec, kind):
    header = celestial(x, y, rotation, kind)
    other = celestial(0, 0)
    sky = np.array([SKY, (ra, dec)])
    pixels, usable = sky_to_pixels([text_of(header), "", text_of(other), text_of(header)], sky)
    assert usable.tolist() == [True, False, True, True]
    np.testing.assert_allclose(pixels[0, 0], (x, y), atol=1e-6)
    np.testing.assert_array_equal(pixels[0], np.stack(WCS(header).world_to_pixel_values(*sky.T), axis=-1))
    np.testing.assert_array_equal(pixels[3], pixels[0])
    assert np.isnan(pixels[1]).all()


def test_the_far_side_of_the_sky_has_no_pixel():
    pixels, usable = sky_to_pixels([text_of(celestial(5, 5))], np.array([(SKY[0] + 180, -SKY[1]), SKY]))
    assert usable.all()
    assert np.isnan(pixels[0, 0]).all()
    np.testing.assert_allclose(pixels[0, 1], (5, 5), atol=1e-9)


@pytest.mark.parametrize("system", ["galactic", "fk4"])
def test_other_systems_than_icrs(system):
    here = SkyCoord(*SKY, unit="deg").transform_to(system).spherical
    header = celestial(20, 10)
    header["CRVAL1"], header["CRVAL2"] = here.lon.deg, here.lat.deg
    if system == "galactic":
        header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
        del header["RADESYS"]
    else:
        header["RADESYS"], header["EQUINOX"] = "FK4", 1950.0
    np.testing.assert_allclose(sky_to_pixel(text_of(header), *SKY, "star"), (20, 10), atol=1e-6)


def test_a_damaged_header_has_no_wcs():
    header = celestial(20, 10)
    for key in ("PC1_1", "PC1_2", "PC2_1", "PC2_2"):
        header[key] = 0.0
    assert celestial_wcs(text_of(header)) is None
    unknown = celestial(20, 10)
    unknown["CTYPE1"], unknown["CTYPE2"] = "RA---XYZ", "DEC--XYZ"
    assert celestial_wcs(text_of(unknown)) is None
    assert celestial_wcs("") is None


def test_every_frame_is_planned_by_its_own_wcs(night):
    folder = night(PLACES, [celestial(*place, rotation=0.3 * i) for i, place in enumerate(PLACES)])
    config = config_of(folder, sources=BEYOND, center={"method": "none", "position": "fixed"})
    frames, plan = prepared(config)
    assert set(plan.frames.variables) == {"data"}
    assert "wcs" not in plan.template().variables
    np.testing.assert_allclose(plan.sources.planned[:, 0], PLACES, atol=1e-9)
    np.testing.assert_array_equal(plan.sources.planned[:, 1], np.tile((12.0, 14.0), (4, 1)))
    result = tsogrid.measure(frames, config).compute()
    np.testing.assert_allclose(result["x"][:, 0], PLACES[:, 0], atol=1e-9)
    assert (abs(result["flux"][:, 0, 0, 0] / (2 * np.pi * 1.6**2 * 9000) - 1) < 0.02).all()
    for block in (1, 3):
        np.testing.assert_array_equal(tsogrid.measure(frames, config, block=block)["flux"], result["flux"])


def test_one_wcs_for_all_files_is_kept_once(night):
    folder = night(PLACES, [celestial(30, 24)] * 4)
    frames = tsogrid.open_frames(folder)
    assert "wcs" not in frames.coords
    assert make_plan(frames, config_of(folder, sources=ON_SKY)).sources.planned.shape == (1, 1, 2)


def test_frames_without_a_wcs_are_nan(night):
    broken = celestial(30, 24)
    broken["CTYPE1"], broken["CTYPE2"] = "RA---XYZ", "DEC--XYZ"
    folder = night(PLACES, [celestial(*PLACES[0]), None, broken, celestial(*PLACES[3])])
    with pytest.warns(TsogridWarning, match="2 of 4 frames have no usable WCS"):
        result = tsogrid.measure(str(folder), config_of(folder, sources=ON_SKY)).compute()
    np.testing.assert_allclose(result["x"][[0, 3], 0], PLACES[[0, 3], 0], atol=0.1)
    assert np.isnan(result["x"][1:3]).all()
    assert np.isnan(result["flux"][1:3]).all()
    meanings = dict(zip(result["flags"].attrs["flag_meanings"].split(), result["flags"].attrs["flag_masks"], strict=True))
    assert (result["flags"][1:3, 0] & meanings["position_off_frame"] > 0).all()
    assert (result["flags"][[0, 3], 0] == 0).all()


def test_no_frame_with_a_wcs(night):
    folder = night(PLACES)
    with pytest.raises(InputError, match="'star' is given by ra and dec, but the frames have no WCS"):
        prepared(config_of(folder, sources=ON_SKY))


@pytest.fixture
def partly_outside(night):
    """Frames 0 and 2 hold the star; 1 does not, 3 has no WCS."""
    headers = [celestial(30, 24), celestial(30, SHAPE[0]), celestial(SHAPE[1] - 1, 0), None]
    return night([(30, 24), (30, 24), (SHAPE[1] - 1, 0), (30, 24)], headers)


def test_frames_that_do_not_hold_the_sources_are_left_out(partly_outside):
    config = config_of(partly_outside, sources=ON_SKY, input={"containing": True})
    message = r"2 of 4 frames do not hold every source by their own WCS and are left out \(1 of them have no usable WCS\)"
    with pytest.warns(TsogridWarning, match=message):
        frames, plan = prepared(config)
    assert frames["file"].values.tolist() == ["f00.fits", "f02.fits"]
    assert [each["name"] for each in json.loads(frames.attrs["inputs"])] == ["f00.fits", "f02.fits"]
    assert plan.n_frames == 2
    np.testing.assert_allclose(plan.sources.planned[:, 0], [(30, 24), (SHAPE[1] - 1, 0)], atol=1e-9)
    names = [partly_outside / name for name in ("f00.fits", "f02.fits")]
    np.testing.assert_array_equal(frames["data"], [fits.getdata(name) for name in names])
    with pytest.warns(TsogridWarning, match="2 of 4 frames"):
        result = tsogrid.measure(str(partly_outside), config)
    assert result.sizes["time"] == 2


def test_the_frame_number_counts_the_frames_that_are_left(partly_outside):
    for path in partly_outside.iterdir():
        with fits.open(path, mode="update") as units:
            units[0].header["JD"] = 2450000.5
    with pytest.warns(TsogridWarning):
        frames, _ = prepared(config_of(partly_outside, sources=ON_SKY, input={"containing": True}))
    assert frames["time"].values.tolist() == [0, 1]
    assert frames["file"].values.tolist() == ["f00.fits", "f02.fits"]


def test_frames_that_all_hold_the_sources(night):
    folder = night(PLACES, [celestial(*place) for place in PLACES])
    frames, _ = prepared(config_of(folder, sources=ON_SKY, input={"containing": True}))
    assert frames.sizes["time"] == 4


def test_what_containing_refuses(partly_outside):
    with pytest.raises(ConfigError, match="expected sources given by ra and dec, found none"):
        prepared(config_of(partly_outside, input={"containing": True}))
    elsewhere = [{"name": "star", "ra": SKY[0] + 1, "dec": SKY[1]}]
    with pytest.raises(InputError, match=r"found none among 4 \(1 of them have no usable WCS\)"):
        prepared(config_of(partly_outside, sources=elsewhere, input={"containing": True}))
