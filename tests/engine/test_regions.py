"""Regions beside a source: where they stand, whatever window of the frame was read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsogrid
from tsogrid.engine.regions import beside

POSITION = st.floats(0, 8192, allow_subnormal=False)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(x=POSITION, offset=st.floats(-60, 60), share=st.floats(0, 1))
def test_a_place_beside_is_the_same_in_every_window(x, offset, share):
    origin = float(np.floor(share * np.floor(x)))
    place = np.array([x])
    assert beside(place - origin, offset) + origin == beside(place, offset)
    assert beside(place, offset) == pytest.approx(x + offset, rel=0, abs=1e-11)
    assert beside(place, 0.0) is place


def test_an_unknown_place_stays_unknown():
    assert np.isnan(beside(np.array([np.nan]), 3.0)).all()


def test_a_level_beside_the_star_does_not_depend_on_other_skies():
    """A wide sky makes the window larger: places count from another pixel."""
    rng = np.random.default_rng(3)
    frames = rng.normal(100, 5, (2, 120, 200))
    position = {"x": rng.uniform(100, 150, 8), "y": rng.uniform(60, 90, 8)}
    ring = {"method": "annulus", "inner": 5, "outer": 9, "statistic": "mean", "offset": [4.41, 1.24]}
    box = {"method": "rectangle", "width": 5.3, "height": 9, "statistic": "mean", "offset": [-3.7, 2.2]}
    wide = {"method": "annulus", "inner": 20, "outer": 29}
    settings = {"input": {"gain": 1.0}, "center": {"method": "none", "position": "fixed"}}
    for region in (ring, box):
        alone, beside_wide = (
            [
                tsogrid.measure(frames, x=x, y=y, radius=4, sky=skies, block=2, **settings).compute()
                for x, y in zip(*position.values(), strict=True)
            ]
            for skies in ([region], [region, wide])
        )
        for one, two in zip(alone, beside_wide, strict=True):
            np.testing.assert_array_equal(one.flux, two.flux.isel(sky=[0]))
