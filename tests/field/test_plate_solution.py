"""The WCS of a frame from its stars: right to a few hundredths of a pixel, or none."""

import numpy as np
import pytest

from tests.lco_fields import field
from tsogrid.field.plate_solution import inside, refit, solve
from tsogrid.field.wcs import celestial_wcs, wcs_pixels
from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.star_finder import star_field


def listed(frame):
    table = frame.listed[np.argsort(-frame.listed[:, 2], kind="stable")]
    return Pattern(table[:, 0] - 1, table[:, 1] - 1, table[:, 2].copy(), np.full(len(table), 0.05))


def found(frame):
    stars = star_field(frame.image[None], 1000)
    return Pattern(*(np.ascontiguousarray(each[0, : stars.number[0]]) for each in stars[:4]))


def off(frame, solution):
    pixels = wcs_pixels(solution.wcs, frame.sky)[frame.on]
    return np.sqrt(np.mean((pixels[:, 0] - frame.x[frame.on]) ** 2 + (pixels[:, 1] - frame.y[frame.on]) ** 2))


def solved(frame, stars, other=None):
    catalogue = frame if other is None else other
    return solve(stars, frame.shape, frame.wcs, catalogue.sky, 10 ** (-0.4 * catalogue.magnitude))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"off": (30, -30), "rotation": 1.0},
        {"flip": True},
        {"flip": True, "off": (-30, 20), "rotation": -1.0},
        {"scale": 1.05},
        {"scale": 0.93, "rotation": 1.0, "off": (-20, 15)},
        {"rotation": 180.0},
        {"off": (75, -50)},
        {"transparency": 0.1},
        {"noise": 2800, "brightest_noise": 0.003},
        {"size": 500, "stars": 350, "bent": 1.5},
    ],
    ids=str,
)
def test_places_are_right(told, seed):
    frame = field(seed, **told)
    solution = solved(frame, listed(frame))
    assert solution.why == 0
    assert off(frame, solution) < 0.03
    assert solution.seen > 0.8
    assert solution.by_chance < 1e-6
    assert solution.mirrored == told.get("flip", False)
    assert solution.scale == pytest.approx(told.get("scale", 1.0), rel=3e-3)
    sign = -1 if not told.get("flip") else 1
    assert (solution.rotation - sign * told.get("rotation", 0.1) + 180) % 360 - 180 == pytest.approx(0, abs=0.05)


def test_the_same_stars_give_the_same_bits():
    frame = field(3)
    one, other = solved(frame, listed(frame)), solved(frame, listed(frame))
    assert one.wcs.to_header_string() == other.wcs.to_header_string()


def test_few_stars_are_enough():
    frame = field(5, stars=8)
    assert off(frame, solved(frame, listed(frame))) < 0.08


@pytest.mark.parametrize("noise", [0, 2800])
def test_another_field_is_no_solution(noise):
    frame, other = field(1, noise=noise), field(99)
    solution = solved(frame, listed(frame), other)
    assert solution.wcs is None
    assert solution.why != 0
    assert solved(frame, found(frame), other).wcs is None


def test_a_field_far_away_and_an_empty_one_are_no_solution():
    frame = field(1)
    assert (
        solve(listed(frame), frame.shape, frame.wcs, frame.sky + np.array([90, 20]), 10 ** (-0.4 * frame.magnitude)).wcs
        is None
    )
    empty = Pattern(*np.zeros((4, 0)))
    assert solved(frame, empty).why == RegistrationFlag.TOO_FEW_STARS


def test_rows_without_numbers_do_not_count():
    frame = field(1)
    sky, flux = frame.sky.copy(), 10 ** (-0.4 * frame.magnitude)
    sky[3], flux[5], flux[7] = np.nan, np.nan, -1.0
    solution = solve(listed(frame), frame.shape, frame.wcs, sky, flux)
    assert off(frame, solution) < 0.03


def test_the_other_list_makes_it_better():
    """Of a faint frame our own places are poor, and those of the list are good."""
    frame = field(4, transparency=0.02, list_error=0.02)
    first = solved(frame, found(frame))
    second = refit(first, listed(frame), frame.shape, frame.sky, 10 ** (-0.4 * frame.magnitude))
    assert second.precision < first.precision
    assert off(frame, second) < off(frame, first)


def test_the_wcs_goes_through_a_header():
    frame = field(2, size=500, stars=350, bent=1.5)
    solution = solved(frame, listed(frame))
    assert solution.degree > 1
    again = celestial_wcs(solution.wcs.to_header(relax=True).tostring(sep="\n"))
    assert np.nanmax(np.abs(wcs_pixels(again, frame.sky) - wcs_pixels(solution.wcs, frame.sky))[frame.on]) < 1e-5


def test_inside_reaches_to_the_rim_of_the_pixels():
    pixels = np.array([[-0.5, 0], [-0.51, 0], [99.5, 49.5], [99.6, 10], [np.nan, 3]])
    assert inside(pixels, (50, 100)).tolist() == [True, False, True, False, False]
