"""Whether depths are unbiased and their errors honest after detrending, over many injected transits.

``python benchmarks/detrending.py [SEEDS] [FRAMES]``
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.analysis.systematics import made
from tsogrid.analysis.detrend import detrend

ALL = ["x", "y", "sigma_x", "sky"]
# What is in the light curve, what is fitted, and how.
CASES = [
    ({"systematics": False}, [], {}),
    ({"systematics": False}, ALL, {}),
    ({"systematics": False}, ALL, {"red_noise": True}),
    ({}, ALL, {}),
    ({}, ALL, {"signal": "mask"}),
    ({}, ALL, {"choose": "bic"}),
    ({}, [], {"order": 1}),
    ({}, [], {"order": 1, "red_noise": True}),
    ({"ramp": 0.004}, ALL, {"ramp": True}),
    ({"ramp": 0.004}, ALL, {"ramp": True, "signal": "mask"}),
    ({"red": 3e-4, "timescale": 0.01}, ALL, {"red_noise": True}),
    ({"red": 1e-3, "timescale": 0.005}, ALL, {"red_noise": True}),
    ({"red": 1e-3, "timescale": 0.02}, ALL, {"red_noise": True}),
    ({"red": 1e-3, "timescale": 0.02}, ALL, {"red_noise": True, "signal": "mask"}),
    ({"red": 1e-3, "timescale": 0.1}, ALL, {"red_noise": True}),
    ({"red": 1e-3, "timescale": 0.02}, ALL, {}),
]


def main(seeds: int, frames: int) -> None:
    for kind, regressors, options in CASES:
        pulls, errors = [], []
        begin = perf_counter()
        for seed in range(1000, 1000 + seeds):
            injected = made(seed, frames, **kind)
            found = detrend(injected.curve, regressors, transit=injected.transit, **options)
            errors.append(float(found["depth_err"]))
            pulls.append((float(found["depth"]) - injected.depth) / errors[-1])
        each = 1e3 * (perf_counter() - begin) / seeds
        words = ", ".join(f"{name}={value}" for name, value in {**kind, **options}.items()) or "all systematics"
        print(
            f"mean {np.mean(pulls):+.2f} sigma, width {np.std(pulls, ddof=1):.2f}, error {1e6 * np.median(errors):4.0f} ppm"
            f", {each:3.0f} ms  {'no regressors' if not regressors else 'regressors'}; {words}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, int(sys.argv[2]) if len(sys.argv) > 2 else 400)
