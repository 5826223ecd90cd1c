"""Polynomials along columns and rows against analytic truth, numpy's polyfit, tshirt's numbers, and their own errors."""

import json
import math
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples import SHARED
from tsogrid.engine.cutouts import cut_out, region_of
from tsogrid.kernels import colrow_variance
from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.colrow import column_row
from tsogrid.kernels.colrow_variance import column_row_variance
from tsogrid.kernels.polynomial import least_points


def ring(shape, inner, outer, center=None):
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2) if center is None else center
    rows, columns = np.indices(shape)
    distance = np.hypot(columns - middle[0], rows - middle[1])
    return (distance >= inner) & (distance < outer)


def fitted_line(values, order):
    """Polynomial of the line and the points of its last fit, by numpy; None if rounding decides which these are."""
    good = np.isfinite(values)
    places = np.arange(values.size) - np.flatnonzero(good).mean()
    keep = good
    for _ in range(3):
        used = keep
        line = np.polynomial.Polynomial.fit(places[keep], values[keep], order)(places)
        distance = np.abs(values - line)
        limit = max(3 * np.median(distance[good]), 1e-11 * np.abs(line).max())
        if np.any(np.abs(distance[good] - limit) < 1e-9 * limit):  # a few points: their residuals have simple ratios
            return None
        keep = good & (distance < limit)
        keep = keep if keep.sum() > order else good
    return line, used


def peer(values, orders, directions):
    """Model and kept pixels of one cut-out (NaN: not fitted), line by line."""
    rest, kept = values.copy(), []
    for direction in directions:
        lines = rest if direction == "X" else rest.T
        model, used = np.zeros(lines.shape), np.zeros(lines.shape, bool)
        for index, line in enumerate(lines):
            if np.isfinite(line).sum() >= least_points(orders[direction]):
                found = fitted_line(line, orders[direction])
                if found is None:
                    return None
                model[index], used[index] = found
        kept.append(used if direction == "X" else used.T)
        rest = rest - (model if direction == "X" else model.T)
    return values - rest, np.array(kept)


@pytest.mark.parametrize("order", range(6))
def test_a_polynomial_is_found_under_a_star_and_through_outliers(order):
    rng = np.random.default_rng(order)
    u = (np.arange(41) - 20) / 20
    surface = 1000 + 50 * np.polynomial.polynomial.polyval(u, rng.normal(size=(order + 1, 33))).reshape(33, 41)
    data = surface.copy()
    data[ring((33, 41), 0, 6)] += 1e5
    data[rng.random(data.shape) < 0.05] = 1e4
    data[rng.random(data.shape) < 0.05] = np.nan
    fit = column_row(data[None], ring((33, 41), 7, 99)[None], order, 0, ["X"])
    np.testing.assert_allclose(fit.model[0], surface, rtol=1e-9)
    assert fit.scatter[0] < 1e-9
    turned = column_row(np.ascontiguousarray(data.T)[None], ring((41, 33), 7, 99)[None], 0, order, ["Y"])
    np.testing.assert_allclose(turned.model[0], surface.T, rtol=1e-9)


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from([["X"], ["Y"], ["Y", "X"], ["X", "Y"], ["X", "Y", "X"]]),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.sampled_from([0.0, 0.1, 0.6, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_as_polyfit_line_by_line(seed, orders, directions, shape, holes):
    rng = np.random.default_rng(seed)
    data = rng.normal(100, 5, (2, *shape)) + 3 * np.arange(shape[1])
    data[rng.random(data.shape) < 0.05] += 300
    data[rng.random(data.shape) < holes / 2] = np.nan
    data[rng.random(data.shape) < 0.02] = np.inf
    region = rng.random(data.shape) >= holes
    fit = column_row(data, region, *orders, directions)
    for index in range(2):
        values = np.where(region[index] & np.isfinite(data[index]), data[index], np.nan)
        expected = peer(values, dict(zip("XY", orders, strict=True)), directions)
        if expected is not None:
            model, kept = expected
            np.testing.assert_array_equal(fit.kept[:, index], kept)
            np.testing.assert_allclose(np.where(np.isnan(values), np.nan, fit.model[index]), model, rtol=1e-8, atol=1e-7)
        alone = column_row(data[index : index + 1], region[index : index + 1], *orders, directions)
        for whole, part in (
            (fit.model[index], alone.model),
            (fit.kept[:, index], alone.kept),
            (fit.scatter[index], alone.scatter),
        ):
            assert whole.tobytes() == part.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("orders", [(0, 0), (1, 1), (3, 2)])
def test_the_box_around_a_region_changes_no_bit(dtype, orders):
    rng = np.random.default_rng(3)
    data, region = rng.normal(1e4, 30, (3, 25, 31)).astype(dtype), np.repeat(ring((25, 31), 6, 12)[None], 3, axis=0)
    wide = rng.normal(0, 1e6, (3, 40, 60)).astype(dtype)
    wide[:, 9:34, 17:48] = data
    around = np.zeros(wide.shape, bool)
    around[:, 9:34, 17:48] = region
    small, large = (column_row(d, r, *orders, ["Y", "X"]) for d, r in ((data, region), (wide, around)))
    assert small.model.dtype == dtype
    np.testing.assert_array_equal(small.model, large.model[:, 9:34, 17:48])
    np.testing.assert_array_equal(small.kept, large.kept[:, :, 9:34, 17:48])
    np.testing.assert_array_equal(small.scatter, large.scatter)
    weights = np.zeros(wide.shape)
    weights[:, 18:25, 28:35] = 1
    outside = column_row_variance(large, np.full(wide.shape, 30.0), weights, *orders, ["Y", "X"])
    inside = column_row_variance(small, np.full(data.shape, 30.0), weights[:, 9:34, 17:48], *orders, ["Y", "X"])
    np.testing.assert_allclose(outside, inside, rtol=1e-12)


def test_nothing_to_fit_is_no_model():
    data = np.full((3, 9, 9), np.nan, np.float32)
    data[1] = 7.0
    data[2, 4, :2] = 5.0
    region = np.ones(data.shape, bool)
    region[1] = False
    fit = column_row(data, region, 1, 1, ["Y", "X"])
    assert not fit.model.any()
    assert not fit.kept.any()
    assert np.isnan(fit.scatter).all()
    assert (column_row_variance(fit, data, np.ones(data.shape), 1, 1, ["Y", "X"]) == 0).all()
    assert column_row(data[:0], region[:0], 1, 1, ["X"]).model.shape == (0, 9, 9)


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 3e38), (np.float64, 1.7e308)])
@pytest.mark.parametrize("order", [1, 3])
def test_pixels_near_the_largest_number_end(dtype, huge, order):
    data = np.random.default_rng(0).choice([-huge, huge, 1.0], (2, 12, 12)).astype(dtype)
    fit = column_row(data, np.ones(data.shape, bool), order, order, ["Y", "X"])
    assert fit.model.shape == data.shape


def test_wrong_arguments_are_refused():
    data, region = np.zeros((1, 5, 5)), np.ones((1, 5, 5), bool)
    fit = column_row(data, region, 0, 0, ["X"])
    for wrong, message in (
        (lambda: column_row(data[0], region, 0, 0, ["X"]), "C-contiguous cut-outs"),
        (lambda: column_row(data, region[:, :4], 0, 0, ["X"]), "region of bool"),
        (lambda: column_row(data, region, 6, 0, ["X"]), "degrees of 0"),
        (lambda: column_row(data, region, 0, 0, ["Z"]), "directions of X and Y"),
        (lambda: column_row(data, region, 0, 0, []), "directions of X and Y"),
        (lambda: column_row_variance(fit, None, data, 0, 0, ["X", "Y"]), "directions of the fit"),
        (lambda: column_row_variance(fit, None, data[0], 0, 0, ["X"]), "weights of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def operator(kept, order, along_rows):
    """Matrix that takes the pixels of a cut-out to the polynomials of one direction, from numpy's pseudo-inverse."""
    h, w = kept.shape
    index = np.arange(h * w).reshape(h, w)
    index, lines = (index, kept) if along_rows else (index.T, kept.T)
    matrix = np.zeros((h * w, h * w))
    for places, used in zip(index, lines, strict=True):
        if used.sum() > order:
            basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, used.size), order)
            matrix[np.ix_(places, places[used])] = basis @ np.linalg.pinv(basis[used])
    return matrix


@pytest.mark.parametrize(("orders", "directions"), [((1, 1), "YX"), ((0, 3), "YX"), ((2, 0), "XYX"), ((1, 5), "Y")])
def test_the_variance_is_that_of_the_linear_operator(orders, directions):
    rng = np.random.default_rng(4)
    shape = (19, 17)
    data, error = rng.normal(100, 5, (1, *shape)), rng.uniform(3, 8, (1, *shape))
    weights = ring(shape, 0, 4)[None] * rng.random(shape)
    fit = column_row(data, ring(shape, 5, 12)[None], *orders, directions)
    total, count, freedom = np.eye(shape[0] * shape[1]), 0, 0
    for kept, direction in zip(fit.kept[:, 0], directions, strict=True):
        order = orders["XY".index(direction)]
        total = (np.eye(total.shape[0]) - operator(kept, order, direction == "X")) @ total
        used = kept.sum(axis=1 if direction == "X" else 0)
        count, freedom = count + (used > 0).sum(), freedom + (used[used > 0] - order - 1).sum()
    linear = np.eye(total.shape[0]) - total
    values = np.where(fit.kept.any(axis=0), data, 0)
    sums = weights.reshape(1, -1) @ linear @ values.reshape(-1, 1)
    np.testing.assert_allclose(sums[0, 0], (weights * fit.model).sum(), rtol=1e-9)
    expected = ((weights.reshape(1, -1) @ linear) ** 2 @ np.where(fit.kept.any(axis=0), error, 0).reshape(-1, 1) ** 2)[0, 0]
    freedom = freedom / count
    expected *= 1 + colrow_variance.CLIPPING * freedom / (freedom + colrow_variance.CLIPPING_POINTS)
    found = column_row_variance(fit, np.where(fit.kept.any(axis=0), error, np.nan), weights, *orders, directions)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    scattered = column_row_variance(
        fit, np.broadcast_to(fit.scatter[:, None, None], data.shape), weights, *orders, directions
    )
    np.testing.assert_array_equal(column_row_variance(fit, None, weights, *orders, directions), scattered)


def test_what_clipping_costs():
    """Variance of the mean after two steps of clipping normal values at 3 MAD, from the moments of what is kept."""
    normal = statistics.NormalDist()
    limit = 3 * normal.inv_cdf(0.75)
    share, density = 2 * normal.cdf(limit) - 1, normal.pdf(limit)
    square = share - 2 * limit * density
    pull = 2 * limit * density / share  # of the mean before on the mean after
    variance = ((1 + pull) / share) ** 2 * square + 2 * (1 + pull) * pull**2 * square / share + pull**4
    assert pytest.approx(share * variance - 1, abs=1e-5) == colrow_variance.CLIPPING


@pytest.mark.parametrize(
    ("size", "inner", "outer", "radius", "orders", "directions"),
    [
        (37, 12, 18, 8, (1, 1), "YX"),
        (37, 12, 18, 8, (0, 0), "X"),
        (61, 24, 30, 20, (2, 2), "Y"),
        (81, 15, 40, 10, (1, 1), "XY"),
    ],
)
def test_errors_of_the_sky_are_its_scatter(size, inner, outer, radius, orders, directions):
    rng = np.random.default_rng(5)
    shape = (1500, size, size)
    data = rng.normal(100, 5, shape)
    region = np.broadcast_to(ring(shape[1:], inner, outer), shape)
    weights = np.broadcast_to(ring(shape[1:], 0, radius).astype(float), shape)
    fit = column_row(data, region, *orders, directions)
    offset = (weights * fit.model).sum(axis=(1, 2)) - 100 * weights[0].sum()
    known = column_row_variance(fit, np.full(shape, 5.0), weights, *orders, directions)
    guessed = column_row_variance(fit, None, weights, *orders, directions)
    assert abs(offset.mean()) < 4 * offset.std() / math.sqrt(1500)
    assert np.std(offset / np.sqrt(known)) == pytest.approx(1, abs=0.05)
    assert np.std(offset / np.sqrt(guessed)) == pytest.approx(1, abs=0.08)


def tshirt_points(name):
    """|background − tshirt's| and |flux − tshirt's| over |raw sum|, for every point of a sample."""
    fits = pytest.importorskip("astropy.io.fits")
    folder = SHARED / "tshirt"
    if not folder.is_dir():
        pytest.skip("the tshirt sample is not here")
    golden = np.load(folder / "npz" / f"{name}.npz")
    asked = json.loads(str(golden["full_params"]))
    frames = []
    for file in golden["files"]:
        with fits.open(folder / name[0] / file) as hdus:
            image = np.nan_to_num(hdus[0].data.astype(float), nan=0.0, posinf=0.0, neginf=0.0)
            frames.append(image * (hdus[0].header["INTTIME"] * asked["detectorGain"] if asked["isSlope"] else 1.0))
    step = SimpleNamespace(inner=asked["backStart"], outer=asked["backEnd"], width=None, height=None, offset=(0.0, 0.0))
    half = int(step.outer) + 1
    boxes = cut_out(np.array(frames), golden["cen"][..., 0], golden["cen"][..., 1], half, half)
    region = region_of(step, boxes.x, boxes.y, boxes.data.shape[1:])
    fit = column_row(boxes.data, region, asked["bkgOrderX"], asked["bkgOrderY"], asked["backsub_directions"])
    radius = np.array([asked["apRadius"]])
    sky = circle_sums(fit.model, None, boxes.x, boxes.y, radius).sum.ravel()
    raw = circle_sums(boxes.data, None, boxes.x, boxes.y, radius).sum.ravel()
    scale = np.abs(golden["raw"].ravel())
    return np.abs(sky - golden["bkg"].ravel()) / scale, np.abs(raw - sky - golden["flux"].ravel()) / scale


@pytest.mark.parametrize("name", ["a_colrow_X_o0", "a_colrow_YX_o1", "b_colrow_YX_x1y1"])
def test_tshirts_numbers(name):
    background, flux = tshirt_points(name)
    assert np.mean(background < 1e-5) >= 0.99
    assert np.mean(flux < 1e-5) >= 0.99
    assert np.median(background) < 1e-9


@pytest.mark.parametrize(("order", "short"), [(1, 2), (2, 2), (3, 3), (4, 4)])
def test_a_line_of_as_many_pixels_as_coefficients_is_met_and_a_shorter_one_left(order, short):
    """Three at least. What is met leaves nothing for the next direction to fit; tshirt does so too."""
    data = np.random.default_rng(order).normal(120.0, 5.0, (2, 9))
    region = np.zeros(data.shape, bool)
    region[0, 2 : 2 + max(order + 1, 3)] = True
    region[1, 2 : 2 + short] = True
    model = column_row(data[None], region[None], order, 0, ["X"]).model[0]
    if order > 1:
        np.testing.assert_allclose(model[0][region[0]], data[0][region[0]], rtol=1e-11)
    assert np.all(model[0] != 0)
    assert not model[1].any()


@pytest.mark.parametrize("scale", [1e-33, 1e-20, 1.0, 1e33])
@pytest.mark.parametrize("order", [1, 3])
def test_the_unit_of_the_pixels_changes_no_choice(scale, order):
    """Single precision, which mostly decides what is kept, ends at 1e±38: beyond, double precision does."""
    data = np.random.default_rng(4).normal(100, 5, (1, 40, 37))
    data[0, 5:9, 5:30] = 180.0
    region = ring((40, 37), 0, 17)[None]
    unit = 2.0 ** np.round(np.log2(scale))
    fit, other = (column_row(each, region, order, order, "YX") for each in (data, data * unit))
    np.testing.assert_array_equal(fit.kept, other.kept)
    np.testing.assert_array_equal(fit.model * unit, other.model)
    np.testing.assert_array_equal(fit.scatter * unit, other.scatter)


def test_residuals_that_single_precision_cannot_tell_apart():
    """Two values beside three median residuals, one on either side and alike in single precision."""
    size = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3 * (1 - 1e-12), 3 * (1 + 1e-12)])
    line = np.concatenate([size, -size])  # of mean 0: a constant leaves the values themselves
    fit = column_row(line[None, None], np.ones((1, 1, 16), bool), 0, 0, ["X"])
    np.testing.assert_array_equal(fit.kept[0, 0, 0], np.abs(line) < 3)


@given(
    st.integers(0, 10**6),
    st.integers(3, 70),
    st.sampled_from([0, 1, 3, 50]),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.8]),
)
@settings(max_examples=60, deadline=None)
def test_ties_are_kept_as_double_precision_says(seed, length, spread, outlier, holes):
    """Whole numbers through a constant: all lines of residuals have values alike, many lie at three medians, or at none."""
    rng = np.random.default_rng(seed)
    data = rng.integers(-spread, spread + 1, (11, length)).astype(float) + 20
    if outlier:
        data[::2, length // 2] = 1e30
    data[rng.random(data.shape) < holes] = np.nan
    fit = column_row(data[None], np.ones((1, 11, length), bool), 0, 0, ["X"])
    for values, kept in zip(data, fit.kept[0, 0], strict=True):
        good = np.isfinite(values)
        keep, used = good & (good.sum() > 2), good & False
        for _ in range(3 if keep.any() else 0):
            used, mean = keep, values[keep].sum() / keep.sum()
            size = np.abs(values - mean)
            keep = good & (size < max(3 * np.median(size[good]), 1e-13 * abs(mean)))
        np.testing.assert_array_equal(kept, used)
