"""How frames lie to a reference frame: by patterns of known stars, and by frames that try to deceive."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.registration import positions_in_frames, register
from tsogrid.kernels.star_finder import star_field
from tsogrid.simulate.wandering import simulate_wandering

SHAPE = (600, 800)


def stars(number, seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, shape[1] - 1, number), rng.uniform(0, shape[0] - 1, number)
    flux = np.sort(1 / rng.uniform(1e-5, 3e-4, number))[::-1]
    return Pattern(x, y, flux, np.full(number, 0.02))


def moved(pattern, angle=0.0, scale=1.0, shift=(0.0, 0.0), light=1.0, mirror=False, shape=SHAPE, seed=1, noise=0.0):
    """The pattern as another frame shows it, without the stars that fall outside."""
    rng = np.random.default_rng(seed)
    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    u, v = pattern.x - middle[0], pattern.y - middle[1]
    u = -u if mirror else u
    x = middle[0] + shift[0] + scale * (np.cos(angle) * u - np.sin(angle) * v) + noise * rng.standard_normal(len(u))
    y = middle[1] + shift[1] + scale * (np.sin(angle) * u + np.cos(angle) * v) + noise * rng.standard_normal(len(u))
    inside = (x >= 0) & (x <= shape[1] - 1) & (y >= 0) & (y <= shape[0] - 1)
    return Pattern(x[inside], y[inside], light * pattern.flux[inside], pattern.error[inside])


def patterns_of(data):
    found = star_field(data)
    return [Pattern(*(each[i, : found.number[i]] for each in found[:4])) for i in range(len(data))]


@settings(max_examples=40)
@given(
    st.floats(-np.pi, np.pi),
    st.floats(0.85, 1.18),
    st.floats(-250, 250),
    st.floats(-180, 180),
    st.floats(0.4, 2.5),
    st.integers(0, 50),
)
def test_any_similarity_comes_back(angle, scale, right, up, light, seed):
    reference = stars(120, seed)
    frame = moved(reference, angle, scale, (right, up), light)
    found = register([frame], reference, SHAPE)
    assert found.flags[0] == 0
    expected = [right, up, np.cos(angle), np.sin(angle), scale, light]
    rotation = found.rotation[0]
    values = [found.shift_x[0], found.shift_y[0], np.cos(rotation), np.sin(rotation), found.scale[0], found.transparency[0]]
    np.testing.assert_allclose(values, expected, atol=1e-8, rtol=1e-9)
    x, y = positions_in_frames(found, reference.x[None], reference.y[None], SHAPE)
    nearest = np.hypot(x[0][:, None] - frame.x, y[0][:, None] - frame.y).min(axis=0)
    assert nearest.max() < 1e-7


def test_a_mirror_image_is_taken_only_if_asked_for():
    reference = stars(60)
    frame = moved(reference, 0.02, shift=(40, -30), mirror=True)
    plain = register([frame], reference, SHAPE)
    assert plain.flags[0] != 0
    assert np.isnan(plain.scale[0])
    found = register([frame], reference, SHAPE, mirror=True)
    assert found.flags[0] == 0
    assert found.mirrored[0]
    x, y = positions_in_frames(found, reference.x[None], reference.y[None], SHAPE)
    assert np.hypot(x[0][:, None] - frame.x, y[0][:, None] - frame.y).min(axis=0).max() < 1e-7


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_few_stars_are_enough_or_are_doubted_but_never_wrong(number):
    right = 0
    for seed in range(20):
        reference = stars(number, seed)
        frame = moved(reference, 0.003, shift=(5, -8), noise=0.02, seed=seed)
        found = register([frame], reference, SHAPE)
        if np.isfinite(found.scale[0]):
            right += 1
            assert np.hypot(found.shift_x[0] - 5, found.shift_y[0] + 8) < 0.2
        else:
            assert found.flags[0] != 0
    assert right >= {3: 10, 4: 18, 5: 19}[number]


def test_other_stars_are_never_taken_for_the_pattern():
    reference = stars(60)
    others = [stars(number, seed) for number in (3, 5, 10, 40, 200) for seed in range(100, 115)]
    found = register(others, reference, SHAPE)
    assert np.isnan(found.scale).all()
    assert (found.flags != 0).all()
    assert (found.flags & RegistrationFlag.CLOUDED == 0).all()


def test_half_of_the_stars_may_be_false():
    reference = stars(40)
    frame = moved(reference, np.pi, shift=(300, 10))
    junk = stars(60, 9)
    both = Pattern(*(np.concatenate(each) for each in zip(frame, junk, strict=True)))
    order = np.argsort(-both.flux)
    found = register([Pattern(*(each[order] for each in both))], reference, SHAPE)
    np.testing.assert_allclose([found.shift_x[0], found.shift_y[0]], [300, 10], atol=0.01)


def test_why_a_frame_is_not_registered():
    reference = stars(60)
    none = Pattern(*(np.zeros(0) for _ in range(4)))
    faint = moved(reference, light=0.1)
    found = register([none, faint, moved(reference, noise=2.0)], reference, SHAPE)
    assert found.flags[0] == RegistrationFlag.TOO_FEW_STARS
    assert found.flags[1] == RegistrationFlag.CLOUDED
    assert np.isfinite(found.scale[1])
    assert found.flags[2] & (RegistrationFlag.POOR_FIT | RegistrationFlag.STARS_MISSING | RegistrationFlag.NO_MATCH)


NIGHTS = {
    "plain": {"stars": 60},
    "twenty stars": {"stars": 20, "jump": 0.5, "trails": 0.3, "hot_pixels": 200, "cosmic_rays": 20},
    "crowded": {"stars": 1200, "jump": 0.5, "trails": 0.3, "hot_pixels": 500, "faintest": 1500.0},
    "hot": {"stars": 40, "hot_pixels": 2000, "brightest": 3e4, "faintest": 2e3},
    "out of focus": {"stars": 40, "fwhm": 11.0, "brightest": 1e6, "faintest": 1e5},
    "drawn out": {"stars": 40, "elongation": 2.0, "trails": 0.5},
    "undersampled": {"stars": 40, "fwhm": 1.6, "hot_pixels": 200},
    "turning": {"stars": 40, "rotation": 40.0, "scale": 0.02},
}


@pytest.mark.parametrize("name", NIGHTS)
def test_nights_that_jump_and_cloud_over(name):
    night = simulate_wandering(14, (400, 440), cloudy=0.3, seed=3, **NIGHTS[name])
    shape = night.data.shape[1:]
    patterns = patterns_of(night.data)
    found = register(patterns, patterns[0], shape)
    x, y = positions_in_frames(found, np.repeat(night.x[:1], 14, 0), np.repeat(night.y[:1], 14, 0), shape)
    seen = (night.x > 0) & (night.x < shape[1]) & (night.y > 0) & (night.y < shape[0])
    seen &= seen[0]
    distance = np.where(seen, np.hypot(x - night.x, y - night.y), np.nan)[night.good]
    assert np.isfinite(found.scale[night.good]).all()
    assert (found.flags[night.good] == 0).all()
    assert np.sqrt(np.nanmean(distance**2, axis=1)).max() < 0.1
    assert np.isnan(found.scale[~night.good]).all()
    assert (found.flags[~night.good] != 0).all()
