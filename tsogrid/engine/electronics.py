"""What the electronics add to every frame, light or dark: the level that the overscan shows, and the bias.

All raw calibration frames are less both before they are combined.
"""

import math
from dataclasses import replace

import numpy as np

from tsogrid.config import Overscan
from tsogrid.engine.detector import Detector, Masters, Region, Strip
from tsogrid.io.calibration_frames import CalibrationFile
from tsogrid.io.sections import AmplifierSections, layout_of


def electronics_of(
    overscan: Overscan | None, sections: str, shape: tuple[int, int], bad: np.ndarray
) -> tuple[Detector, Region | None]:
    """Plan the removal of the overscan's level.

    Parameters
    ----------
    overscan : Overscan or None
        What the configuration says.
    sections : str
        Those of the header, see `tsogrid.io.sections.sections_text`.
    shape : (int, int)
        Rows and columns of a frame.
    bad : ndarray of bool, shape (ny, nx)
        Overscan pixels, what is trimmed, and lines without overscan become bad in place.

    Returns
    -------
    detector : Detector
        For one frame, with overscans alone.
    trim : Region or None
        Rows and columns that are kept.

    Raises
    ------
    ConfigError, InputError
        See `tsogrid.io.sections.layout_of`.
    """
    one = Detector(shape, which=np.zeros(1, np.int64), factor=np.ones(1))
    if overscan is None:
        return one, None
    layout = layout_of(overscan, sections, shape)
    if layout.trim is not None:
        outside = np.ones(shape, bool)
        outside[layout.trim.slices] = False
        bad |= outside
    strips = []
    for each in layout.amplifiers:
        bad[each.section.slices] = True
        if overscan.order is None:
            _lose_uncovered(each, bad)
        gain = math.nan if each.gain is None else each.gain
        noise = math.nan if each.read_noise is None else each.read_noise
        strips.append(Strip(each.section, each.data, each.axis, gain, noise))
    found = "; ".join(f"{each.section.text()} for {each.data.text()}" for each in layout.amplifiers)
    along = "" if overscan.order is None else f", polynomial of order {overscan.order}"
    kept = "" if layout.trim is None else f", pixels outside {layout.trim.text()} are bad"
    made = replace(
        one,
        strips=tuple(strips),
        statistic=overscan.statistic,
        order=overscan.order,
        lines=(f"overscan {found}: {overscan.statistic} of each line{along}{kept}",),
        hashes={"overscan": found},
    )
    return made, layout.trim


def _lose_uncovered(amplifier: AmplifierSections, bad: np.ndarray) -> None:
    """Make pixels bad on lines that have no overscan."""
    y0, y1, x0, x1 = amplifier.data
    if amplifier.axis == 1:
        bad[y0 : max(y0, min(y1, amplifier.section.y0)), x0:x1] = True
        bad[min(y1, max(y0, amplifier.section.y1)) : y1, x0:x1] = True
    else:
        bad[y0:y1, x0 : max(x0, min(x1, amplifier.section.x0))] = True
        bad[y0:y1, min(x1, max(x0, amplifier.section.x1)) : x1] = True


def with_bias(detector: Detector, bias: np.ndarray, identity: str) -> Detector:
    """Give the same with a bias, shape (ny, nx)."""
    return replace(detector, masters=Masters(bias), hashes=detector.hashes | {"bias": identity})


def less_electronics(detector: Detector, file: CalibrationFile, row: int, rows: slice) -> np.ndarray:
    """Read rows of a raw frame, less overscan and bias.

    Parameters
    ----------
    detector : Detector
        Overscan and bias.
    file : CalibrationFile
        Which file.
    row : int
        Which of its frames.
    rows : slice
        Which rows of the frame.

    Returns
    -------
    ndarray, shape (rows, nx)
        In double precision; overscan pixels are NaN.
    """
    region = (rows.start, rows.stop, 0, detector.shape[1])
    pixels = file.read(row, rows=rows)
    strips = [file.read(row, rows=slice(a, b), columns=slice(c, d))[None] for a, b, c, d in detector.needed(region)]
    correction = detector.for_block(region, strips, 0, 1)
    for each in correction.levels:
        pixels[each.rows, each.columns] -= each.level[0][:, None] if each.axis == 1 else each.level[0]
    for strip in detector.strips:  # whose own pixels are no data
        y0, y1, x0, x1 = strip.section
        pixels[max(y0 - rows.start, 0) : max(y1 - rows.start, 0), x0:x1] = np.nan
    return pixels if correction.masters.bias is None else pixels - correction.masters.bias
