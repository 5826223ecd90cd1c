"""Sections as headers write them: amplifiers, overscans on every side, and what makes no sense."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.config import Overscan
from tsogrid.errors import ConfigError, InputError
from tsogrid.io.sections import Box, layout_of

SHAPE = (100, 140)


def layout(value, text="", **more):
    return layout_of(Overscan.model_validate(value if isinstance(value, dict | list | str) else {}), text, SHAPE, **more)


def test_sections_of_one_amplifier():
    found = layout("auto", "BIASSEC=[121:140,1:100] TRIMSEC=[1:120,5:96]")
    (one,) = found.amplifiers
    assert one[:3] == (Box(0, 100, 120, 140), Box(4, 96, 0, 120), 1)
    assert found.trim == Box(4, 96, 0, 120)
    (left,) = layout("[1:20,1:100]").amplifiers
    assert left.data == Box(0, 100, 20, 140)
    (above,) = layout("[1:140,91:100]").amplifiers
    assert (above.data, above.axis) == (Box(0, 90, 0, 140), 2)
    (backwards,) = layout("[140:121,100:1]").amplifiers
    assert backwards.section == Box(0, 100, 120, 140)
    assert layout({"amplifiers": [{"section": "[1:20,1:100]"}], "trim": False}).trim is None
    assert layout({"amplifiers": [{"section": "[1:20,1:100]"}], "trim": "[31:130,1:100]"}).trim == Box(0, 100, 30, 130)
    (skipped,) = layout({"amplifiers": [{"section": "[1:20,1:100]"}], "skip": 3}).amplifiers
    assert skipped.section == Box(0, 100, 0, 17)


def test_amplifiers_share_the_columns_between():
    found = layout(["[1:20,1:100]", "[121:140,1:100]"])
    assert [each.data for each in found.amplifiers] == [Box(0, 100, 20, 70), Box(0, 100, 70, 120)]
    found = layout(["[131:140,1:100]", "[121:130,1:100]"])  # both on the right, the nearer one of the left half
    assert [each.data for each in found.amplifiers] == [Box(0, 100, 60, 120), Box(0, 100, 0, 60)]


@pytest.mark.parametrize("names", [("BIASSEC", "DATASEC"), ("BSEC", "TSEC")])
def test_numbered_sections_go_before_the_one_for_all(names):
    bias, data = names
    text = f"BIASSEC=[1:5,1:100] {bias}1=[1:20,1:100] {data}1=[21:70,1:100] {bias}2=[121:140,1:100] {data}2=[71:120,1:100]"
    found = layout("auto", text)
    assert [each.data for each in found.amplifiers] == [Box(0, 100, 20, 70), Box(0, 100, 70, 120)]
    assert found.trim == Box(0, 100, 20, 120)


@pytest.mark.parametrize(
    ("value", "text", "error", "words"),
    [
        ("auto", "", InputError, "expected BIASSEC in the header"),
        ("1:20,1:100", "", ConfigError, "expected a section such as"),
        ("[0:20,1:100]", "", InputError, "inside the frame"),
        ("[1:20,1:101]", "", InputError, r"140 × 100 pixels"),
        (["[1:20,1:100]", "[122:140,1:100]"], "", ConfigError, "expected data: .*several amplifiers"),
        ([{"section": "[1:20,1:100]", "data": "[11:140,1:100]"}], "", ConfigError, "overscan and data apart"),
        ({"amplifiers": ["x"], "skip": 20}, "X=[1:20,1:100]", None, ""),
        ({"amplifiers": [{"section": "[1:20,1:100]"}], "skip": 20}, "", ConfigError, "fewer pixels than the overscan"),
        (
            [{"section": "[1:20,1:100]", "data": "[21:70,1:90]"}, {"section": "[71:140,91:100]", "data": "[71:140,1:90]"}],
            "",
            ConfigError,
            "found both",
        ),
    ],
)
def test_what_makes_no_sense_is_said(value, text, error, words):
    if error is None:
        with pytest.raises(ValueError, match="valid dictionary"):
            layout(value, text)
        return
    with pytest.raises(error, match=words):
        layout(value, text)


def quadrants(n):
    """Four amplifiers of 30 × 40 pixels with overscan of 8 columns on the outer sides; each row of each has a level."""
    rng = np.random.default_rng(n)
    sky = np.full((60, 80), 50.0)
    sky[28:31, 38:41] += 1000  # a star where all four meet
    frame = np.empty((60, 96))
    for row in (0, 30):
        for column in (0, 40):
            level = rng.integers(900, 1100, 30)[:, None]
            part = sky[row : row + 30, column : column + 40] + level
            edge = np.repeat(level, 8, axis=1)
            both = np.hstack([edge, part] if column == 0 else [part, edge])
            frame[row : row + 30, (0 if column == 0 else 48) : (48 if column == 0 else 96)] = both
    return frame


@pytest.mark.parametrize("turned", [False, True])
def test_quadrants_come_back_exactly(tmp_path, turned):
    for n in range(3):
        frame = quadrants(n).T if turned else quadrants(n)
        unit = fits.PrimaryHDU(frame.astype(np.int32))
        unit.header["DATE-OBS"], unit.header["EXPTIME"] = f"2026-01-01T00:0{n}:00", 10.0
        unit.writeto(tmp_path / f"f{n}.fits")

    def section(columns, rows):
        first, second = (rows, columns) if turned else (columns, rows)
        return f"[{first},{second}]"

    amplifiers = [
        {"section": section(bias, rows), "data": section(data, rows)}
        for rows in ("1:30", "31:60")
        for bias, data in (("1:8", "9:48"), ("89:96", "49:88"))
    ]
    x, y = (29.0, 47.0) if turned else (47.0, 29.0)
    result = tsogrid.measure(
        tsogrid.open_frames(tmp_path, gain=2.0, read_noise=4.0),
        x=x, y=y, radius=6,
        input={"gain": 2.0, "read_noise": 4.0},
        calibrate={"overscan": amplifiers},
        center={"method": "none", "position": "fixed"},
        sky=[{"method": "annulus", "inner": 10, "outer": 18, "statistic": "median"}],
    ).compute(scheduler="sync")  # fmt: skip
    np.testing.assert_allclose(result["flux"], 9000, rtol=1e-6)
    np.testing.assert_allclose(result["sky_level"], 50, rtol=1e-6)
    assert not result["aperture_flags"].any()
    # Photons, read noise, and that of the levels: 8 pixels a row, shared by the chord on either side of the seam.
    weight = np.zeros((60, 80))
    grid = np.mgrid[:60, :80]
    inside = np.hypot(grid[0] - 29, grid[1] - 39) < 6
    weight[inside] = 1
    chords = np.concatenate([weight[:, :40].sum(axis=1), weight[:, 40:].sum(axis=1)])
    variance = (9000 + 50 * np.pi * 36) / 2 + np.pi * 36 * 4 + (chords**2).sum() * 4 / 8
    np.testing.assert_allclose(result["aperture_sum_err"], np.sqrt(variance), rtol=0.02)
