"""1/f noise along the time of reading: nearer the truth than medians of rows inside rows, and no worse elsewhere."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.errors import ConfigError
from tsogrid.kernels.amplifier import row_amplifier
from tsogrid.kernels.readout_process import measured_noise, readout_process

pytest.importorskip("celerite2")
SIGMA, OVERHEAD, NY, WIDTH = 10.0, 12, 64, 256
BOUNDS = np.array([[0, WIDTH], [WIDTH, 2 * WIDTH]])
HERE = np.array([[110.0, 380.0]]), np.array([[32.0, 25.0]])


def spectrum(rng, count, amplitude, slope):
    """Noise whose power falls as frequency^-slope, of this standard deviation."""
    frequency = np.fft.rfftfreq(4 * count)
    frequency[0] = frequency[1]
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=4 * count)) * frequency ** (-slope / 2))
    return (noise / noise.std())[:count] * amplitude


def read_out(rng, kind, amplitude):
    """Noise of one amplifier in the order of reading, (NY, WIDTH)."""
    if kind == "rows":
        return np.repeat(rng.normal(0, amplitude, (NY, 1)), WIDTH, axis=1)
    if kind == "slow rows":
        return np.repeat(spectrum(rng, NY, amplitude, 1)[:, None], WIDTH, axis=1)
    along = spectrum(rng, NY * (WIDTH + OVERHEAD), amplitude, {"1/f": 1.0, "steep": 1.5, "white": 0.0}[kind])
    return along.reshape(NY, WIDTH + OVERHEAD)[:, :WIDTH]


def scene(rng, kind, amplitude):
    """True noise and the frame, (NY, 2 WIDTH): the second amplifier runs right to left."""
    truth = np.concatenate([read_out(rng, kind, amplitude), read_out(rng, kind, amplitude)[:, ::-1]], axis=1)
    return truth, truth + rng.normal(0, SIGMA, truth.shape)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize(
    ("kind", "amplitude", "gain"),
    [
        ("1/f", 3.0, 0.95),
        ("1/f", 10.0, 0.85),
        ("steep", 5.0, 0.85),
        ("steep", 20.0, 0.7),
        ("rows", 2.0, 0.95),
        ("rows", 20.0, 0.95),
        ("slow rows", 5.0, 0.95),
        ("slow rows", 20.0, 0.95),
        ("white", 0.0, 0.5),
    ],
)
def test_beats_medians_of_rows(kind, amplitude, gain):
    rng = np.random.default_rng(2)
    pixels, levels = [], []
    for _ in range(4):
        truth, data = scene(rng, kind, amplitude)
        process = readout_process(data[None], *HERE, BOUNDS, 20.0, OVERHEAD).model[0] - truth
        medians = row_amplifier(data[None], None, *HERE, BOUNDS, 20.0).model[0] - truth
        pixels.append((rms(process), rms(medians)))
        levels.append([rms(each.reshape(NY, 2, WIDTH).mean(axis=2)) for each in (process, medians)])
    ours, theirs = np.sqrt(np.mean(np.square(pixels), axis=0))
    assert ours < gain * theirs
    ours, theirs = np.sqrt(np.mean(np.square(levels), axis=0))
    assert ours < 0.9 * theirs
    assert ours < 1.03 * 1.2533 * SIGMA / np.sqrt(WIDTH) or kind in ("1/f", "steep")


def test_noise_is_found_where_it_was_put():
    rng = np.random.default_rng(0)
    time = np.arange(NY * (WIDTH + OVERHEAD))
    ratio = np.exp(-1 / 64.0)
    process = np.zeros(time.size)
    for index in range(1, time.size):  # one time scale, of 64 pixels
        process[index] = ratio * process[index - 1] + rng.normal(0, 6 * np.sqrt(1 - ratio**2))
    pixels = process.reshape(NY, -1)[:, :WIDTH] + rng.normal(0, SIGMA, (NY, WIDTH)) + rng.normal(0, 4, (NY, 1))
    good = rng.random(pixels.shape) < 0.95
    noise = measured_noise(np.where(good, pixels, 0.0), good, OVERHEAD, timescale=64.0)
    assert np.sqrt(noise.white) == pytest.approx(SIGMA, rel=0.03)
    assert np.sqrt(noise.variance[0]) == pytest.approx(6, rel=0.15)
    assert np.sqrt(noise.rows) == pytest.approx(4, rel=0.35)
    free = measured_noise(np.where(good, pixels, 0.0), good, OVERHEAD)
    assert free.variance.sum() + free.rows == pytest.approx(36 + 16, rel=0.3)
    assert free.timescale[:3].tolist() == [4, 16, 64]


@pytest.mark.parametrize(("kind", "amplitude"), [("1/f", 5.0), ("rows", 5.0), ("steep", 10.0)])
def test_variances_describe_the_hidden_part_of_rows(kind, amplitude):
    """Not those of a fit: amplitudes are estimates, and of a bridge; so within half of the truth."""
    rng = np.random.default_rng(5)
    hidden, rows = [], []
    for _ in range(6):
        truth, data = scene(rng, kind, amplitude)
        found = readout_process(data[None], *HERE, BOUNDS, 20.0, OVERHEAD)
        difference = found.model[0] - truth
        level = difference.reshape(NY, 2, WIDTH).mean(axis=2)
        free = np.r_[:8, 56:NY]
        rows.append((level / np.sqrt(found.line_variance[0]))[free])
        for row in range(16, 49):
            half = int(np.sqrt(400 - (row - 32) ** 2))
            hidden.append(difference[row, 110 - half : 111 + half].mean() / np.sqrt(found.line_variance[0, row, 0]))
    assert 0.65 < rms(hidden) < 1.5
    assert 0.65 < rms(rows) < 1.5


def test_bad_pixels_do_no_harm():
    rng = np.random.default_rng(3)
    truth, data = scene(rng, "1/f", 5.0)
    clean = readout_process(data[None], *HERE, BOUNDS, 20.0, OVERHEAD).model[0]
    spoilt = data.copy()
    spoilt[rng.random(data.shape) < 0.01] = 1e5
    spoilt[rng.random(data.shape) < 0.02] = np.nan
    spoilt[5, :300] = np.nan
    found = readout_process(spoilt[None], *HERE, BOUNDS, 20.0, OVERHEAD)
    assert rms(found.model[0] - truth) < 1.2 * rms(clean - truth)
    assert found.count[0, 5, 0] == 0
    assert np.isfinite(found.line_variance).all()
    spoilt[:, :WIDTH] = np.inf
    found = readout_process(spoilt[None], *HERE, BOUNDS, 20.0, OVERHEAD)
    assert np.isnan(found.model[0, :, :WIDTH]).all()
    assert np.isfinite(found.model[0, :, WIDTH:]).all()
    assert np.isnan(found.line_variance[0, :, 0]).all()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_frame_without_noise(value):
    data = np.full((1, 8, 40), value, np.float32)
    found = readout_process(data, *(np.full((1, 1), np.nan),) * 2, [[0, 40]], 5.0, OVERHEAD)
    np.testing.assert_allclose(found.model, value)
    rows = data + np.arange(8, dtype=np.float32)[None, :, None]
    found = readout_process(rows, *(np.full((1, 1), np.nan),) * 2, [[0, 40]], 5.0, OVERHEAD)
    np.testing.assert_allclose(found.model, rows, atol=0.2)


def test_even_and_odd_columns_and_a_known_timescale():
    rng = np.random.default_rng(6)
    truth, data = scene(rng, "steep", 5.0)
    pattern = np.where(np.arange(2 * WIDTH) % 2, 40.0, -10.0)
    plain = readout_process(data[None], *HERE, BOUNDS, 20.0, OVERHEAD).model[0]
    found = readout_process((data + pattern)[None], *HERE, BOUNDS, 20.0, OVERHEAD, even_odd=True).model[0]
    np.testing.assert_allclose(found - pattern, plain, atol=2.5)
    assert rms(found - pattern - truth) < 1.1 * rms(plain - truth)
    one = readout_process(data[None], *HERE, BOUNDS, 20.0, OVERHEAD, timescale=2000.0).model[0]
    assert rms(one - truth) < 0.9 * rms(row_amplifier(data[None], None, *HERE, BOUNDS, 20.0).model[0] - truth)


@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(4, 50), st.sampled_from([1e-15, 1.0, 1e15]))
def test_frames_know_nothing_of_each_other_at_any_scale(seed, ny, width, scale):
    rng = np.random.default_rng(seed)
    data = (rng.normal(3, 1, (3, ny, width)) * scale).astype(np.float32)
    data[rng.random(data.shape) < 0.1] = np.nan
    x, y = rng.uniform(0, width, (3, 1)), rng.uniform(0, ny, (3, 1))
    whole = readout_process(data, x, y, [[0, width]], 1.5, 2.0)
    for frame in range(3):
        one = slice(frame, frame + 1)
        alone = readout_process(data[one], x[one], y[one], [[0, width]], 1.5, 2.0)
        for a, b in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(a[one], b)
    again = readout_process(data / np.float32(scale), x, y, [[0, width]], 1.5, 2.0).model
    np.testing.assert_allclose(whole.model / scale, again, atol=1e-4)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "celerite2", None)  # importing it fails
    data = np.random.default_rng(0).normal(0, 1, (1, 20, 40))
    with pytest.raises(ConfigError, match=r"tsogrid\[gp\]"):
        readout_process(data, *(np.full((1, 1), np.nan),) * 2, [[0, 40]], 5.0, OVERHEAD)
