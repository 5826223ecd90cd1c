"""Frames with known truth: a JWST exposure, star fields in memory, a night of single-frame files.

`signal` makes the ingredients (stars, transit, drift, 1/f noise) from formulas of its own, `calints` writes the layout of
JWST files, `exposure` and `fields` put frames together, and `truth` is what comes back. Nothing here knows the code that
measures.
"""

from tsogrid.simulate.exposure import simulate_exposure
from tsogrid.simulate.fields import simulate_night, simulate_stars
from tsogrid.simulate.signal import transit_shape
from tsogrid.simulate.truth import NightTruth, StarFrames, Truth

__all__ = ["NightTruth", "StarFrames", "Truth", "simulate_exposure", "simulate_night", "simulate_stars", "transit_shape"]
