"""No kernel takes memory for each frame: numba counts what compiled code allocates."""

import json
import os
import subprocess
import sys

import pytest

COUNT = """
import json
import numpy as np
from numba.core.runtime import rtsys
from tsogrid.kernels.amplifier import row_amplifier
from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.centroid import cross_correlation, gaussian_template
from tsogrid.kernels.gaussian import gaussian_fit
from tsogrid.kernels.line_sums import circle_line_sums
from tsogrid.kernels.sky import annulus_sky

MOST = 40
rng = np.random.default_rng(0)
j, i = np.indices((64, 64))
star = 1e4 * np.exp(-((i - 32) ** 2 + (j - 31) ** 2) / 8)
data = rng.normal(star, 10, (MOST, 64, 64)).astype(np.float32)
error = np.full(data.shape, 10, np.float32)
x, y = 32 + rng.normal(0, 0.3, (2, MOST, 1))
bounds, lines, psf = [[0, 32], [32, 64]], np.arange(64) // 32, gaussian_template(2.0)
rows = np.ones((MOST, 64, 2))
kernels = {
    "circles": lambda k: circle_sums(data[k], error[k], x[k], y[k], [3.0, 5.0]),
    "lines": lambda k: circle_line_sums(data[k], x[k], y[k], [3.0, 5.0], rows[k], lines, rows[k]),
    "annulus": lambda k: annulus_sky(data[k], error[k], x[k], y[k], 8.0, 12.0, "clipped-median"),
    "fit": lambda k: gaussian_fit(data[k], error[k], x[k], y[k], 15),
    "correlation": lambda k: cross_correlation(data[k], x[k], y[k], 21, psf),
    "rows": lambda k: row_amplifier(data[k], error[k], x[k], y[k], bounds, 10.0),
}
taken = {}
for name, kernel in kernels.items():
    kernel(slice(0, 2))
    counts = []
    for frames in (8, MOST):
        before = rtsys.get_allocation_stats().alloc
        kernel(slice(0, frames))
        counts.append(rtsys.get_allocation_stats().alloc - before)
    taken[name] = counts
print(json.dumps(taken))
"""


@pytest.fixture(scope="module")
def taken():
    """Allocations of each kernel for 8 and for 40 frames."""
    environment = os.environ | {"NUMBA_NRT_STATS": "1"}
    done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["circles", "lines", "annulus", "fit", "correlation", "rows"])
def test_more_frames_take_no_more_memory(taken, name):
    few, many = taken[name]
    assert 0 < many <= few
