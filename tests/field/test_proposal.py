"""Verdicts on stars with their reasons, and sources that are made of them."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tests.field.conftest import celestial
from tsogrid.config import Detection, Source
from tsogrid.engine.run import prepared
from tsogrid.errors import ConfigError, InputError
from tsogrid.field.detection import find_stars
from tsogrid.field.proposal import detected_sources, find_on_frame, judged, like_target, nearest
from tsogrid.simulate import simulate_stars

SHAPE = (200, 220)
#                      good   good   pair         border faint  full   hot pixel comes later
X = np.array([40.0, 100.3, 150.0, 157.0, 3.0, 60.0, 180.0])
Y = np.array([40.0, 50.6, 120.0, 120.0, 90.0, 150.0, 170.0])
FLUX = np.array([5e4, 4e4, 4.5e4, 3e4, 6e4, 9e2, 3e6])


def picture(seed=0, shift=(0.0, 0.0)):
    image = simulate_stars(1, SHAPE, X + shift[0], Y + shift[1], FLUX, fwhm=3, sky=100, read_noise=4, seed=seed).data[0]
    image[20, 150] += 3e4
    return np.minimum(image, 30000.0).astype(np.float32)


@pytest.fixture
def night(tmp_path):
    """Four frames; in the first clouds hide all but the brightest stars."""

    def write(headers=None):
        for number in range(4):
            header = fits.Header() if headers is None else headers[number]
            header["JD"], header["EXPTIME"], header["GAIN"] = 2460000.5 + number / 1000, 0.0, 1.0
            image = picture(number) if number else (picture() - 100) * 0.02 + np.random.default_rng(1).normal(100, 10, SHAPE)
            fits.PrimaryHDU(image.astype(np.float32), header).writeto(tmp_path / f"f{number}.fits")
        return tmp_path

    return write


def test_each_refused_star_has_its_reason():
    stars = find_stars(picture())
    reasons, neighbour = judged(stars, SHAPE, Detection())
    said = {}
    for x, y in zip(X, Y, strict=True):
        near = int(np.argmin(np.hypot(stars.x - x, stars.y - y)))
        assert np.hypot(stars.x[near] - x, stars.y[near] - y) < 1.5
        said[round(float(x))] = reasons[near]
    assert said[40] == said[100] == ""
    hot = np.hypot(stars.x - 150, stars.y - 20) < 3
    assert not (hot & ~stars.artefact).any()
    assert "border" in said[3]
    assert "faint" in said[60]
    assert "saturated" in said[180]
    pair = nearest(stars, 150, 120, 2), nearest(stars, 157, 120, 2)
    assert all("times its flux at 7" in reasons[star] for star in pair)
    assert neighbour[pair[0]] == pytest.approx(7.0, abs=0.1)
    assert not any(judged(stars, SHAPE, Detection(separation=5))[0][star] for star in pair)


def test_references_for_a_target():
    stars = find_stars(picture())
    reasons, _ = judged(stars, SHAPE, Detection(separation=5))
    target = nearest(stars, 41, 40, within=3)
    assert nearest(stars, 41, 40, within=0.5) is None
    chosen = like_target(stars, reasons, target)
    assert [round(float(stars.x[star])) for star in chosen] == [150, 100, 157]


def test_sources_of_a_frame(night):
    folder = night()
    frames = tsogrid.open_frames(folder)
    listed = [Source(name="ref1", x=40.6, y=39.5)]
    found = detected_sources(frames, Detection(role="reference", separation=5), listed)
    assert [(star.name, star.role) for star in found] == [
        ("ref2", "reference"),
        ("ref3", "reference"),
        ("ref4", "reference"),
    ]
    assert [round(star.x) for star in found] == [150, 100, 157]  # the brightest first; not the star that is listed
    assert all(star.x == round(star.x, 3) for star in found)
    everything = detected_sources(frames, Detection())
    assert len(everything) == 7
    assert {star.role for star in everything} == {"target"}
    assert len(detected_sources(frames, Detection(brightest=2, name="s"))) == 2
    like = detected_sources(frames, Detection(keep="all", faintest=0.7), [Source(name="t", x=40, y=40)])
    assert sorted(round(star.x) for star in like) == [3, 100, 150, 180]
    few = detected_sources(frames, Detection(reference_frame="f0.fits"))
    assert 2 < len(few) < 7
    assert find_on_frame(frames, Detection()).frame == 1  # clouds on the first


def test_stars_follow_the_wcs_of_each_frame(night):
    folder = night([celestial(100 + number, 100 - number) for number in range(4)])
    content = {"input": {"files": [str(folder)], "gain": 1}, "center": {"method": "none", "position": "fixed"}}
    config = tsogrid.Config.from_mapping({**content, "sources": {"detect": {"reference_frame": 1}}})
    _, plan = prepared(config)
    assert plan.config.sources[0].ra is not None
    places = plan.sources.planned
    np.testing.assert_allclose(places[:, :, 0] - places[:1, :, 0], np.arange(4)[:, None] * np.ones(7), atol=1e-3)
    at = [np.hypot(*(places[1] - (x, y)).T).min() for x, y in zip(X, Y, strict=True)]
    assert max(at) < 0.6
    again = prepared(config)[1]
    assert again.identity() == plan.identity()
    assert [star["name"] for star in plan.identity()["config"]["sources"]][:2] == ["star1", "star2"]


def test_what_is_refused(night):
    frames = tsogrid.open_frames(night())
    for frame, message in (("x.fits", "found 'x.fits'"), (9, "expected 0 … 3 for 4 frames, found 9")):
        with pytest.raises(ConfigError, match=message):
            detected_sources(frames, Detection(reference_frame=frame))
    with pytest.raises(InputError, match="expected a star at 't', the first source"):
        detected_sources(frames, Detection(faintest=0.1), [Source(name="t", x=10, y=180)])
    with pytest.raises(InputError, match=r"expected a good comparison star on frame \d, found none among \d candidates"):
        detected_sources(frames, Detection(role="reference", border=99.0))
