"""Reference stars that vary are found, the good ones stay, and each verdict has its reason."""

import numpy as np
import pytest

from tests.analysis.nights import night, wave
from tsogrid.analysis.reference import relative

FIVE = (1e5, 1.4e5, 0.7e5, 0.5e5, 0.3e5)


@pytest.mark.parametrize("star", [1, 2, 3, 4])
@pytest.mark.parametrize("errors", [True, False])
def test_a_variable_star_is_vetoed_alone(star, errors):
    curve = relative(night(300, FIVE, signals={star: wave(300, 0.015)}, errors=errors, apertures=2, seed=star))
    assert curve["used"].to_numpy().tolist() == [other != star for other in (1, 2, 3, 4)]
    reason = curve["reason"].to_numpy()[star - 1]
    assert "scatter" in reason
    assert "the stars' median" in reason
    checked = curve.isel(aperture=0, reference=star - 1)
    assert float(checked["check_scatter"]) > 2 * float(checked["check_expected" if errors else "check_point_to_point"])
    # With it gone, the others scatter as their errors say.
    good = curve["check_scatter"] / curve["check_expected"]
    if errors:
        assert (np.abs(good.where(curve["used"]) - 1) < 0.15).sum() == 6


def test_fast_noise_and_slow_small_waves_are_found():
    rng = np.random.default_rng(1)
    noisy = relative(night(300, FIVE, signals={3: 0.012 * rng.standard_normal(300)}, seed=2))
    assert noisy["used"].to_numpy().tolist() == [True, True, False, True]
    assert "times its error" in noisy["reason"].to_numpy()[2]
    slow = relative(night(1200, FIVE, signals={2: wave(1200, 0.0025, 2)}, seed=3))  # its noise is 0.3 % a frame
    assert slow["used"].to_numpy().tolist() == [True, False, True, True]
    assert "white noise" in slow["reason"].to_numpy()[1]


def test_two_variable_stars():
    signals = {1: wave(400, 0.01), 4: wave(400, 0.03, 7)}
    assert relative(night(400, FIVE, signals=signals, seed=4))["used"].to_numpy().tolist() == [False, True, True, False]


@pytest.mark.parametrize("fluxes", [FIVE, (1e5,) * 4, (1e5, 1e6, 1e4, 1e4), (1e5,) * 8, (1e5, 3e5, 1e5, 1e4, 1e3)])
@pytest.mark.parametrize("frames", [40, 250])
def test_good_stars_stay(fluxes, frames):
    vetoed = sum(int((~relative(night(frames, fluxes, seed=seed))["used"]).sum()) for seed in range(25))
    assert vetoed == 0


@pytest.mark.parametrize("fluxes", [(1e5,) * 6, (1e5, 3e6, 1e5, 5e4, 3e4), (1e5, 3e6, 3e6, 1e5)])
@pytest.mark.parametrize("frames", [60, 300])
def test_what_all_stars_do_is_not_the_fault_of_one(fluxes, frames):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        # As scintillation, which no error knows: the brightest star suffers most.
        signals = {star: 0.003 * rng.standard_normal(frames) for star in range(1, len(fluxes))}
        assert relative(night(frames, fluxes, signals=signals, seed=seed))["used"].all(), seed
        few = night(frames, fluxes, seed=seed)
        assert relative(few.assign(flux_err=few["flux_err"] / 4))["used"].all(), seed  # errors that are much too small


def test_two_stars_and_few_frames_give_no_verdict():
    result = night(300, FIVE[:3], signals={2: wave(300, 0.05)}, seed=7)
    assert relative(result)["used"].all()  # nothing tells which of the two
    assert relative(night(19, FIVE, signals={2: wave(19, 0.05)}, seed=8))["used"].all()
    three = relative(night(300, FIVE[:4], signals={1: wave(300, 0.05), 2: wave(300, 0.05, 9)}, seed=9))
    assert three["used"].sum() >= 2
    assert relative(night(300, FIVE, signals={2: wave(300, 0.05)}), veto=False)["used"].all()


def test_a_trend_is_measured():
    slope = 0.02 * (np.arange(500) / 499 - 0.5)
    curve = relative(night(500, FIVE, signals={3: slope}, seed=10), veto=False, reject=None)
    star = curve.isel(reference=2)
    assert abs(float(star["check_trend"]) - 0.02) < 4 * float(star["check_trend_err"])
    assert float(star["check_trend_err"]) == pytest.approx(float(star["check_point_to_point"]) * np.sqrt(12 / 500), rel=0.1)


def test_the_verdict_holds_for_every_aperture_and_sky():
    result = night(300, FIVE, apertures=3, skies=2, signals={2: wave(300, 0.02)}, seed=11)
    result["flux"].to_numpy()[:, :, 2] *= np.random.default_rng(12).normal(1, 0.1, (300, 5, 2))  # a noisy aperture
    curve = relative(result)
    assert curve["used"].dims == ("reference",)
    assert curve["used"].to_numpy().tolist() == [True, False, True, True]
    assert not curve["kept"].isel(reference=1).any()
