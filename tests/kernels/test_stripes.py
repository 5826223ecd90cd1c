"""Row levels of a read-out stripe with known 1/f and white noise: how near the truth, and what tshirt made of them."""

import numpy as np
import pytest

from tests.samples import SHARED
from tsogrid.kernels.amplifier import LEAST_PIXELS, reference_pixels_alone, row_amplifier
from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.line_levels import filled_levels

FOUR = np.array([[0, 512], [512, 1024], [1024, 1536], [1536, 2048]])
LAYOUTS = {"one": [[0, 2048]], "four": FOUR, "uneven": [[0, 100], [100, 612], [650, 2000]]}
SIGMA = 8.0


def pink(rng, count, amplitude):
    """1/f noise of this standard deviation."""
    frequency = np.fft.rfftfreq(2 * count)
    frequency[0] = frequency[1]
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=2 * count)) / np.sqrt(frequency))[:count]
    return noise / noise.std() * amplitude


def stripe(bounds, seed=0, ny=64, nx=2048, common=False):
    """Row offsets with a 1/f spectrum (ny, na), and a frame of them and white noise, (1, ny, nx)."""
    rng = np.random.default_rng(seed)
    rows = np.stack([pink(rng, ny, 20.0) for _ in bounds], axis=1)
    if common:
        rows = np.repeat(rows[:, :1], len(bounds), axis=1)
    data = rng.normal(0, SIGMA, (1, ny, nx))
    for index, (start, stop) in enumerate(bounds):
        data[0, :, start:stop] += rows[:, index, None]
    return rows, data.astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_are_as_near_as_medians_can_be(layout):
    bounds = np.array(LAYOUTS[layout])
    x, y = np.array([[300.2, 1024.0, 1500.0]]), np.array([[30.4, 40.0, -3.0]])
    differences = []
    for seed in range(20):
        rows, data = stripe(bounds, seed)
        found = row_amplifier(data, None, x, y, bounds, 25.0)
        differences.append((found.level[0] - rows) * np.sqrt(found.count[0]) / (1.2533 * SIGMA))
    assert np.sqrt(np.mean(np.square(differences))) <= 1.03


@pytest.mark.parametrize("option", ["even_odd", "each_column"])
def test_columns_come_off_first(option):
    pattern = np.random.default_rng(5).normal(0, 100, 2048) if option == "each_column" else np.arange(2048) % 2 * 80.0 - 30
    x, y = np.array([[700.0, 1100.0]]), np.array([[31.0, 20.0]])
    inside, together = [], []
    for seed in range(10):
        rows, data = stripe(FOUR, seed)
        data = (data + pattern).astype(np.float32)
        found = row_amplifier(data, None, x, y, FOUR, 20.0, **{option: True})
        difference = found.model[0] - pattern - np.repeat(rows, 512, axis=1)
        blocks = difference.reshape(64, 4, 512).mean(axis=2) * np.sqrt(found.count[0]) / (1.2533 * SIGMA)
        inside.append(blocks)
        # The sum over an aperture: its error is that of the row levels and of the columns' (none for even and odd ones).
        for source in range(2):
            there = np.hypot(np.arange(2048) - x[0, source], np.arange(64)[:, None] - y[0, source]) <= 12
            amplifier = int(x[0, source] // 512)
            variance = found.line_variance[0, :, amplifier] + found.column_variance[0, amplifier]
            together.append(difference[there].sum() / np.sqrt(np.sum(there.sum(axis=1) ** 2 * variance)))
    assert np.sqrt(np.mean(np.square(inside))) <= 1.03
    assert 0.7 < np.sqrt(np.mean(np.square(together))) < 1.35  # twenty sums


def test_noise_inside_the_row_is_no_worse_than_a_median():
    ours, numpys = [], []
    x, y = np.array([[900.0]]), np.array([[30.0]])
    hidden = np.hypot(np.arange(2048) - 900.0, np.arange(64)[:, None] - 30.0) <= 20
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = np.concatenate([pink(rng, 64 * 524, 10.0).reshape(64, 524)[:, :512] for _ in range(4)], axis=1)
        data = (noise + rng.normal(0, SIGMA, noise.shape)).astype(np.float32)
        truth = noise.reshape(64, 4, 512).mean(axis=2)
        found = row_amplifier(data[None], None, x, y, FOUR, 20.0)
        ours.append(found.level[0] - truth)
        numpys.append(np.nanmedian(np.where(hidden, np.nan, data).reshape(64, 4, 512), axis=2) - truth)
    assert np.std(ours) <= 1.03 * np.std(numpys)


def test_a_masked_amplifier_gets_the_common_noise():
    differences = []
    for seed in range(20):
        rows, data = stripe(FOUR, seed, common=True)
        data[:, :, 1024:1536] = np.nan
        nowhere = np.full((1, 1), np.nan)
        found = row_amplifier(data, None, nowhere, nowhere, FOUR, 20.0)
        filled = filled_levels(found.level, found.line_variance)
        differences.append(filled.level[0, :, 2] - rows[:, 2])
        assert found.count[0, :, 2].max() < LEAST_PIXELS
    assert np.std(differences) <= 1.1 * 1.2533 * SIGMA / np.sqrt(3 * 512)


def test_only_reference_pixels_count():
    _, data = stripe(FOUR, 1)
    data[:, :, 20:-20] += 1e4
    ends = reference_pixels_alone(data, 20)
    nowhere = np.full((1, 1), np.nan)
    found = row_amplifier(ends, None, nowhere, nowhere, FOUR, 0.0)
    np.testing.assert_array_equal(found.count[0], np.tile([20, 0, 0, 20], (64, 1)))
    np.testing.assert_array_equal(found.level[0, :, 3], np.median(data[0, :, -20:], axis=1))
    np.testing.assert_array_equal(reference_pixels_alone(data, 1500), data)


@pytest.fixture(scope="module")
def golden():
    """tshirt's result, and the pixels in electrons that it was made from, (24, 64, 2048)."""
    from astropy.io import fits

    path = SHARED / "tshirt" / "npz" / "b_rowamp_nanleave.npz"
    if not path.exists():
        pytest.skip("the folder shared/data is not beside the project")
    with np.load(path) as content:
        result = {name: content[name] for name in ("files", "cen", "bkg")}
    frames = []
    for name in result["files"]:
        with fits.open(SHARED / "tshirt" / "b" / str(name)) as file:
            frames.append(file[0].data.astype(float) * file[0].header["INTTIME"] * 2.05)
    return result, np.stack(frames)


def test_tshirts_row_model(golden):
    result, data = golden
    x, y = result["cen"][:, :, 0].copy(), result["cen"][:, :, 1].copy()
    # tshirt hides d < 24, tsogrid d ≤ the radius.
    found = row_amplifier(data, None, x, y, FOUR, np.nextafter(24.0, 0.0), even_odd=True)
    model = circle_sums(found.model, None, x, y, np.array([20.0])).sum[:, :, 0]
    raw = np.abs(circle_sums(data, None, x, y, np.array([20.0])).sum[:, :, 0])
    assert np.max(np.abs(model - result["bkg"]) / raw) < 1e-8
