"""Presets: settings under one name, over which the user's own are laid."""

from typing import Any

# What the JWST pipeline's step tso_photometry does (version 3.0.0).
JWST_PRESET: dict[str, Any] = {
    "input": {"error": "err"},
    "calibrate": {"dq": []},
    "center": {
        "predict": "center-of-mass",
        "guess": "median",
        "search_box": 41,
        "method": "center-of-mass",
        "fit_box": 11,
        "weights": "none",
        "sky": "frame",
        "position": "median",
        "fallback": "planned",
    },
    "sky": [{"method": "annulus", "inner": 4.0, "outer": 5.0, "statistic": "mean"}],
    "apertures": [{"shape": "circle", "radius": [3.0]}],
    "photometry": {"variance_weight": "w"},
}
PRESETS = {"jwst": JWST_PRESET}
