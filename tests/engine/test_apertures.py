"""Apertures of every shape over every sky: rectangles, rings, whole pixels, sizes that follow the FWHM, saturation."""

import json

import numpy as np
import pytest

import tsogrid
from tsogrid.errors import ConfigError
from tsogrid.flags import ApertureFlag, SourceFlag

SHAPES = [
    {"radius": [4, 6]},
    {"radius": 5, "overlap": "center"},
    {"shape": "rectangle", "width": 11, "height": 8},
    {"shape": "annulus", "inner": 2, "outer": 7},
    {"scaled": {"factor": [1.5, 2], "range": [2, 9]}},
    {"shape": "rectangle", "width": 11, "height": 8, "scaled": {"factor": 2, "range": [2, 9], "reference_radius": 8}},
    {"shape": "frame"},
]
SKIES = [
    {"inner": 10, "outer": 15, "statistic": "mean"},
    {"inner": 10, "outer": 15, "statistic": "mean", "overlap": "center", "offset": [2, -1]},
    {"method": "rectangle", "width": 20, "height": 5, "offset": [0, 14], "statistic": "mean"},
    {"method": "rectangle", "width": 20, "height": 5, "offset": [0, 14], "statistic": "clipped-median"},
    {"inner": 10, "outer": 15, "statistic": "median", "scaled": {"factor": 2, "range": [2, 9], "reference_radius": 8}},
    [{"method": "rowamp", "mask_radius": 9}, {"method": "rectangle", "width": 20, "height": 5, "offset": [0, 14]}],
    {"method": "colrow", "inner": 10, "outer": 15, "order_x": 1, "order_y": 0},
    [{"method": "rowamp", "mask_radius": 9}, {"method": "colrow", "width": 40, "height": 30, "order_x": 0, "order_y": 0}],
    {"method": "none"},
]


def frames(n=6, seed=1, level=50.0):
    """Two stars of growing width over a flat sky, both round, with photon noise."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:60, :80]
    sigma = np.linspace(1.6, 2.2, n)[:, None, None]
    data = np.full((n, 60, 80), level)
    for x, y, flux in ((25.2, 30.4, 60000.0), (55.7, 27.1, 30000.0)):
        data = data + flux / (2 * np.pi * sigma**2) * np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return random.poisson(data).astype(float)


def measured(data, block=None, **settings):
    content = {
        "input": {"gain": 1.0},
        "center": {"fit_box": 15, "search_box": 11, "weights": "none"},
        "apertures": SHAPES,
        "sky": SKIES,
    }
    config = tsogrid.Config.from_mapping(content | settings)
    return tsogrid.measure(data, config, x=[25, 56], y=[30, 27], block=block).compute(scheduler="synchronous")


@pytest.fixture(scope="module")
def whole():
    return measured(frames())


def test_every_shape_over_every_sky(whole):
    assert whole.sizes == {"time": 6, "source": 2, "aperture": 9, "sky": 9}
    assert list(whole.aperture.values) == [
        "r4", "r6", "r5-center", "rect11x8", "annulus2-7", "x1.5", "x2", "rect11x8-x2", "frame",
    ]  # fmt: skip
    known = np.ones(whole.flux.shape, bool)
    known[..., -1, 6:8] = False  # a cut-out says nothing of the whole frame's sky
    np.testing.assert_array_equal(np.isfinite(whole.flux), known)
    np.testing.assert_array_equal(np.isfinite(whole.flux_err), known)
    # most of a star lies in 6 pixels, and a flat sky is the same for all who look for it
    star = whole.flux.sel(aperture="r6", sky=whole.sky.values[[0, 1, 2, 3, 4, 5, 6]])
    np.testing.assert_allclose(star / [[[60000.0], [30000.0]]], 1.0, atol=0.06)
    np.testing.assert_allclose(whole.sky_level[..., :5], 50.0, atol=2.5)
    assert not whole.sky_sum[..., -1].any()


def test_sizes_follow_the_fwhm(whole):
    fwhm = 2.354820045 * np.linspace(1.6, 2.2, 6)
    radius = whole.aperture_radius.sel(aperture="x2").values
    np.testing.assert_allclose(radius, 2 * np.repeat(fwhm[:, None], 2, axis=1), rtol=0.02)
    np.testing.assert_array_equal(whole.aperture_radius.sel(aperture="r4"), 4.0)
    assert np.isnan(whole.aperture_radius.sel(aperture="rect11x8")).all()
    np.testing.assert_array_equal(whole.scale_factor.values[5:8], [1.5, 2, 2])
    area = whole.aperture_area.sel(aperture="rect11x8-x2").values
    np.testing.assert_allclose(area, 88 * (radius / 8) ** 2, rtol=0.01)
    np.testing.assert_allclose(whole.aperture_area.sel(aperture="x2"), np.pi * radius**2, rtol=1e-9)
    # its light does not depend on the seeing
    flux = whole.flux.sel(aperture="x2", sky=whole.sky.values[0]) / [60000.0, 30000.0]
    assert np.ptp(flux.mean("source").values) < 0.025


def test_planes_equal_separate_runs(whole):
    for index, sky in enumerate(SKIES):
        alone = measured(frames(), sky=[sky])
        np.testing.assert_array_equal(alone.flux[..., 0], whole.flux[..., index])
        np.testing.assert_array_equal(alone.sky_sum_err[..., 0], whole.sky_sum_err[..., index])
    labels = list(whole.aperture.values)
    for shape in SHAPES:
        alone = measured(frames(), apertures=[shape])
        for position, label in enumerate(alone.aperture.values):
            if label != "frame":  # alone it is the largest, and its mean is the level of a frame's model
                np.testing.assert_array_equal(alone.flux[:, :, position], whole.flux[:, :, labels.index(label)])


@pytest.mark.parametrize("block", [1, 4])
def test_any_block_gives_the_same_bits(whole, block):
    assert measured(frames(), block=block).identical(whole)


def test_a_width_over_the_whole_series():
    """Positions from the median of the series need a second pass; the width of each frame goes along."""
    one = measured(frames(), center={"fit_box": 15, "search_box": 11, "weights": "none"})
    two = measured(frames(), center={"fit_box": 15, "search_box": 11, "weights": "none", "position": "median"}, block=2)
    np.testing.assert_array_equal(two.aperture_radius, one.aperture_radius)


def test_widths_come_from_stars_in_all_windows():
    data = np.concatenate([frames(3), np.full((3, 60, 300), 50.0)], axis=2)
    data = np.concatenate([data, frames(3, seed=2)], axis=2)  # another pair, far away
    config = tsogrid.Config.from_mapping(
        {
            "input": {"gain": 1.0},
            "center": {"fit_box": 15, "search_box": 11},
            "apertures": [{"scaled": {"factor": 2, "range": [2, 9]}}],
        }
    )
    near = tsogrid.measure(data, config, x=[25, 405], y=[30, 30]).compute(scheduler="synchronous")
    np.testing.assert_array_equal(near.aperture_radius[:, 0], near.aperture_radius[:, 1])


def test_an_unknown_width_is_flagged():
    data = frames(3)
    data[1] = np.nan
    found = measured(data)
    scaled = found.aperture.str.startswith("x").values
    assert ((found.aperture_flags[1].values[:, scaled] & ApertureFlag.RADIUS_UNKNOWN) != 0).all()
    assert np.isnan(found.flux[1]).all()
    assert np.isfinite(found.flux[[0, 2]].values[:, :, :-1]).all()
    assert np.isnan(found.aperture_radius[1].values[:, scaled]).all()


@pytest.mark.parametrize("sky", [SKIES[0], SKIES[3], SKIES[5]])
def test_saturated_apertures_are_nan(sky):
    data = frames(4)
    data[2, 30, 23:28] = 1e5  # five pixels of the first star
    settings = {"sky": [sky], "apertures": [{"radius": [1, 4]}, {"shape": "rectangle", "width": 11, "height": 8}]}
    found = measured(data, calibrate={"saturation": {"level": 60000, "pixels": 5}}, **settings)
    lost = np.isnan(found.flux[..., 0].values)
    expected = np.zeros((4, 2, 3), bool)
    expected[2, 0, 1:] = True  # the circle of radius 1 holds fewer of them
    np.testing.assert_array_equal(lost, expected)
    np.testing.assert_array_equal((found.aperture_flags.values & ApertureFlag.SATURATED) != 0, expected)
    np.testing.assert_array_equal((found.flags.values & SourceFlag.SATURATED) != 0, expected.any(axis=2))


def test_whole_pixels_and_the_analytic_area():
    """With the area of an outline, the rounding of its pixels goes into the sky; with that of the pixels it does not."""
    data = np.full((3, 60, 80), 50.0)
    settings = {
        "apertures": [{"radius": 5, "overlap": "center"}],
        "sky": [{"inner": 10, "outer": 15, "statistic": "mean", "overlap": "center"}],
        "center": {"method": "none", "position": "fixed"},
    }
    right = measured(data, **settings)
    np.testing.assert_allclose(right.flux, 0.0, atol=1e-9)
    tshirt = measured(data, photometry={"sky_area": "analytic"}, **settings)
    pixels = right.aperture_area.values[..., 0]
    ring = right.sky_area.values[..., 0]
    expected = 50.0 * (pixels - ring * np.pi * 25 / (np.pi * 125))
    np.testing.assert_allclose(tshirt.flux.values[..., 0, 0], expected, rtol=1e-9)


def test_the_result_goes_through_a_store(tmp_path, whole):
    import astropy.io.fits as fits

    paths = []
    for index, frame in enumerate(frames()):
        path = tmp_path / f"f{index}.fits"
        fits.writeto(path, frame.astype("f4"))
        paths.append(str(path))
    content = {
        "input": {"files": paths, "gain": 1.0},
        "sources": [{"name": "a", "x": 25, "y": 30}, {"name": "b", "x": 56, "y": 27}],
        "center": {"fit_box": 15, "search_box": 11, "weights": "none"},
        "apertures": SHAPES,
        "sky": SKIES,
        "output": {"store": str(tmp_path / "s.zarr")},
        "cluster": {"kind": "none"},
    }
    with pytest.warns(UserWarning, match="time"):
        found = tsogrid.run(tsogrid.Config.from_mapping(content))
    np.testing.assert_allclose(found.flux, whole.flux, rtol=2e-4, atol=5)
    np.testing.assert_array_equal(found.scale_factor, whole.scale_factor)
    assert json.loads(found.attrs["config"])["apertures"][2]["shape"] == "rectangle"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"apertures": [{"scaled": {"factor": 2}}], "center": {"method": "none", "position": "fixed"}},
            "need a center.method",
        ),
        ({"apertures": [{"shape": "rectangle", "width": 3}]}, "height"),
        ({"apertures": [{"shape": "rectangle", "width": 3, "height": 2, "scaled": {"factor": 2}}]}, "reference_radius"),
        ({"apertures": [{"radius": 3, "scaled": {"factor": 2}}]}, "either radius"),
        ({"apertures": [{"shape": "annulus", "inner": 5, "outer": 3}]}, "inner < outer"),
        (
            {"apertures": [{"radius": 3, "overlap": "center"}, {"radius": 3, "overlap": "center"}]},
            "r3-center more than once",
        ),
        ({"apertures": [{"scaled": {"factor": 2, "range": [5, 2]}}]}, "[least, largest]"),
        ({"sky": [{"method": "rectangle", "width": 3, "height": 2, "overlap": "subpixel"}]}, "needs statistic: mean"),
        ({"sky": [{"method": "colrow", "inner": 3}]}, "either inner and outer"),
        ({"sky": [[{"method": "colrow", "inner": 3, "outer": 9}, {"method": "rowamp"}]]}, "cannot follow colrow"),
        ({"center": {"sky": [{"inner": 3, "outer": 9, "scaled": {"factor": 2, "reference_radius": 3}}]}}, "needs the FWHM"),
    ],
)
def test_what_is_refused(content, said):
    with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
        tsogrid.Config.from_mapping(content)


def test_widths_of_another_result(tmp_path, whole):
    """With positions from a file that holds widths (tshirt's, or a store), sizes follow those and not the fit."""
    import astropy.io.fits as fits

    place = np.stack([whole.x.values, whole.y.values], axis=-1)
    widths = np.full(place.shape, 4.0)
    widths[:, 1] = 0.0  # a fit that failed there
    widths[2] = 5.0
    units = fits.HDUList([fits.PrimaryHDU(place), fits.ImageHDU(widths, name="FWHM")])
    units[0].name = "CENTROIDS"
    units.writeto(tmp_path / "cen.fits")
    center = {"fit_box": 15, "predict": "none", "weights": "none", "position": "file"}
    found = measured(frames(), center=center | {"position_file": str(tmp_path / "cen.fits")})
    radius = found.aperture_radius.sel(aperture="x2")
    np.testing.assert_array_equal(radius, np.repeat([[8.0], [8], [10], [8], [8], [8]], 2, axis=1))
    whole[["x", "y", "sigma_x", "sigma_y"]].to_zarr(tmp_path / "other.zarr", zarr_format=2)
    again = measured(frames(), center=center | {"position_file": str(tmp_path / "other.zarr")})
    np.testing.assert_allclose(again.aperture_radius, whole.aperture_radius, rtol=1e-12)


@pytest.mark.parametrize("off_frame", ["partial", "nan", "frame"])
def test_the_whole_frame_lies_in_the_frame(off_frame, tmp_path):
    """Also about a source that went out of it, whose own apertures have nothing in them."""
    (tmp_path / "places.csv").write_text("frame,source,x,y\n0,0,-3,20\n1,0,-7,20\n0,1,20,30\n1,1,20,30\n")
    center = {"method": "none", "predict": "none", "position": "file", "position_file": str(tmp_path / "places.csv")}
    data, pair = frames(2), [{"radius": [4]}, {"shape": "frame"}]
    settings = {"input": {"gain": 1.0}, "apertures": pair, "center": center, "photometry": {"off_frame": off_frame}}
    found = tsogrid.measure(data, x=[0, 20], y=[20, 30], sky=[{"inner": 6, "outer": 9}], **settings).compute()
    np.testing.assert_allclose(found.aperture_sum[..., 1], np.repeat(data.sum((1, 2))[:, None], 2, axis=1))
    assert (found.aperture_flags[..., 1] == ApertureFlag.WHOLE_FRAME).all()
    np.testing.assert_array_equal(found.sky_sum[..., 1, 0], found.sky_level[..., 0] * data[0].size)


def test_a_circle_that_became_the_frame_keeps_its_own_level():
    """The frame is summed without sky; the level of a model is still that of the circle."""
    skies = [[{"method": "rowamp", "amplifiers": [[0, 80]], "mask_radius": 8}, {"inner": 6, "outer": 9}], {"method": "none"}]
    settings = {"input": {"gain": 1.0}, "center": {"method": "none", "position": "fixed"}, "sky": skies}
    part, whole = (
        tsogrid.measure(frames(2), x=2, y=30, radius=4, photometry={"off_frame": off_frame}, **settings).compute()
        for off_frame in ("partial", "frame")
    )
    np.testing.assert_array_equal(whole.sky_level, part.sky_level)
    np.testing.assert_array_equal(whole.flags, part.flags)
    assert (whole.sky_sum == 0.0).all()
