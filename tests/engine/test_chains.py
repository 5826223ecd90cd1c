"""Chains of sky steps: what they share, how far they reach, and the sky that centring is given."""

from dataclasses import replace

import numpy as np
import pytest

import tsogrid
from tests.engine.test_apertures import frames
from tsogrid.engine.graph import plan
from tsogrid.engine.windows import Window
from tsogrid.errors import ConfigError

CENTER = {"fit_box": 15, "search_box": 11, "weights": "none"}
NARROW = {"inner": 5, "outer": 8}
FOLLOWING = {"inner": 5, "outer": 9, "scaled": {"factor": 2, "range": [2, 9], "reference_radius": 9}}


def planned(data, chains, **center):
    content = {
        "input": {"gain": 1.0},
        "sources": [{"name": "a", "x": 25, "y": 30}],
        "center": CENTER | center,
        "apertures": [{"radius": [3, 4]}],
        "sky": chains,
    }
    return plan(tsogrid.open_frames(data), tsogrid.Config.from_mapping(content))


def test_steps_of_one_label_and_other_settings_are_not_shared():
    """A label leaves out what rarely changes; two chains that begin alike must still be computed apart."""
    later = FOLLOWING | {"scaled": FOLLOWING["scaled"] | {"reference_radius": 5}}
    data = frames(2)
    both = planned(data, [[FOLLOWING], [later, {"method": "none"}]]).measure(0, 2)
    alone = planned(data, [[later, {"method": "none"}]]).measure(0, 2)
    np.testing.assert_array_equal(both["flux"][..., 1], alone["flux"][..., 0])
    assert (both["sky_area"][..., 0] != both["sky_area"][..., 1]).all()


def test_the_frames_level_stands_beside_a_cut_out_without_a_ring():
    sky = [{"method": "colrow", "width": 40, "height": 30}]
    found = planned(frames(2), sky, sky="frame").measure(0, 2)
    ring = planned(frames(2), [{"method": "colrow", "inner": 4, "outer": 15}], sky="frame").measure(0, 2)
    np.testing.assert_allclose(found["x_com"], ring["x_com"], atol=0.05)  # from the largest aperture, as from the ring


@pytest.mark.parametrize(
    "region",
    [
        {"method": "rectangle", "width": 4, "height": 4, "offset": [0, 25]},
        {"inner": 2, "outer": 4, "offset": [24, 0]},
        {"method": "rectangle", "width": 60, "height": 3, "offset": [0, 8]},
    ],
)
def test_windows_hold_the_sky_that_centring_needs(region):
    data = np.concatenate([frames(3), frames(3)], axis=2)
    small = {"method": "center-of-mass", "predict": "none", "fit_box": 7, "sky": [region]}
    stamp = planned(data, [NARROW], **small)
    whole = replace(stamp, windows=(Window(0, 60, 0, 160, (0,)),))
    assert stamp.windows[0].pixels < whole.windows[0].pixels
    first, second = stamp.measure(0, 3), whole.measure(0, 3)
    assert np.isfinite(second["x_com"]).all()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_a_cut_out_that_grows_without_bound_holds_the_frame():
    """Without a range the width of a failed fit would ask for boxes of thousands of pixels."""
    scaled = {"factor": 1, "range": [5e4, 6e4], "reference_radius": 1}
    sky = [{"method": "colrow", "inner": 5, "outer": 9, "scaled": scaled, "order_x": 0, "order_y": 0}]
    found = planned(frames(1), sky).measure(0, 1)
    assert np.isnan(found["sky_level"]).all()  # the hole in the ring holds the frame


def test_centring_refuses_a_model_about_centres():
    with pytest.raises(ConfigError, match="colrow models a cut-out"):
        tsogrid.Config.from_mapping({"center": {"sky": [{"method": "colrow", "inner": 3, "outer": 9}]}})


@pytest.mark.parametrize("amplifiers", [[[0, 80]], [[0, 40], [40, 80]]])
def test_chains_of_every_kind_are_each_alone(amplifiers):
    """Rows, rows smoothed, columns beside them, polynomials: together and alone to the bit."""
    row = {"method": "rowamp", "mask_radius": 6, "amplifiers": amplifiers}
    models = [
        [row],
        [row | {"smooth": 9}],
        [row | {"even_odd": True}],
        [row | {"even_odd": True, "mask_radius": 7, "smooth": 5}],
    ]
    models += [[row, {"method": "colrow", "inner": 5, "outer": 11}], [row | {"even_odd": True}, row | {"smooth": 5}], []]
    rings = [NARROW, NARROW | {"statistic": "mean"}, {"inner": 6, "outer": 10, "statistic": "clipped-mean"}]
    chains = [[*model, ring] for model in models for ring in rings]
    data = frames(3)
    data[1, 31] = np.nan
    together = planned(data, chains).measure(0, 3)
    assert np.isfinite(together["flux"]).mean() > 0.6
    for index, chain in enumerate(chains):
        alone = planned(data, [chain]).measure(0, 3)
        for name in ("flux", "flux_err", "sky_level", "sky_level_err", "sky_area", "sky_sum"):
            assert together[name][..., index].tobytes() == alone[name][..., 0].tobytes(), (name, chain)
