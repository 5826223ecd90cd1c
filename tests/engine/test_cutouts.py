"""Cut-outs: the same pixels wherever they are taken from, and regions as photutils draws them."""

from types import SimpleNamespace

import numpy as np
import pytest
from photutils.aperture import CircularAnnulus, RectangularAperture

from tsogrid.engine.cutouts import cut_out, region_of


def step(inner=None, outer=None, width=None, height=None, offset=(0.0, 0.0)):
    return SimpleNamespace(inner=inner, outer=outer, width=width, height=height, offset=offset)


def test_boxes_are_copied_with_their_own_coordinates():
    data = np.arange(2 * 20 * 30, dtype=np.float32).reshape(2, 20, 30)
    x, y = np.array([[12.3, 0.5], [28.6, np.nan]]), np.array([[7.5, 18.6], [-400.0, 3.0]])
    boxes = cut_out(data, x, y, 2, 3)
    assert boxes.data.shape == (4, 5, 7)
    assert boxes.data.dtype == np.float32
    np.testing.assert_array_equal(boxes.data[0], data[0, 5:10, 9:16])  # half-way belongs to the lower pixel
    np.testing.assert_allclose([boxes.x[0, 0], boxes.y[0, 0]], [12.3 - 9, 7.5 - 5])
    np.testing.assert_array_equal(boxes.data[1, :3, 3:], data[0, 17:20, 0:4])
    assert np.isnan(boxes.data[1, 3:]).all()
    assert np.isnan(boxes.data[1, :, :3]).all()
    assert np.isnan(boxes.data[2:]).all()
    assert np.isnan(boxes.x[3, 0])


@pytest.mark.parametrize("position", [1e12, -1e12, 1e300, -np.inf])
def test_a_place_far_away_is_an_empty_box(position):
    boxes = cut_out(np.ones((1, 9, 9)), np.array([[position]]), np.array([[4.0]]), 1, 1)
    assert np.isnan(boxes.data).all()


def test_a_window_gives_the_cut_outs_of_the_frame():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(3, 60, 500))
    x, y = rng.uniform(300, 310, (3, 2)), rng.uniform(20, 30, (3, 2))
    whole = cut_out(data, x, y, 6, 4)
    window = cut_out(np.ascontiguousarray(data[:, 7:50, 290:330]), x - 290, y - 7, 6, 4)
    for one, other in zip(whole, window, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (2.3, -1.0)])
@pytest.mark.parametrize(("x", "y"), [(15.0, 15.0), (15.5, 14.5), (15.2, 15.7)])
def test_regions_are_those_of_photutils(x, y, offset):
    center = (x + offset[0], y + offset[1])
    at = np.array([[x]]), np.array([[y]])
    for found, peer in (
        (step(inner=5, outer=10, offset=offset), CircularAnnulus(center, 5, 10)),
        (step(inner=0, outer=6.5, offset=offset), None),
        (step(width=9, height=4, offset=offset), RectangularAperture(center, 9, 4)),
        (step(width=6.2, height=11, offset=offset), RectangularAperture(center, 6.2, 11)),
    ):
        region = region_of(found, *at, (31, 33))[0]
        if peer is None:
            rows, columns = np.indices((31, 33))
            expected = np.hypot(columns - center[0], rows - center[1]) < 6.5
        else:
            expected = peer.to_mask(method="center").to_image((31, 33)) > 0
        np.testing.assert_array_equal(region, expected)


def test_nothing_lies_about_an_unknown_place():
    for shape in (step(inner=0, outer=5), step(width=4, height=4)):
        assert not region_of(shape, np.array([[np.nan]]), np.array([[3.0]]), (7, 7)).any()
