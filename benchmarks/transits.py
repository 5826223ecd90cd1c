"""Whether the demo's depth is unbiased and its error honest, over many seeds.

``python benchmarks/transits.py [SEEDS] [FRAMES]``
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from tsogrid.demo import demo


def main(seeds: int, frames: int) -> None:
    pulls = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            found = demo(Path(folder), seed=seed, frames=frames)
        pulls.append((found.depth - found.depth_injected) / found.depth_err)
        print(f"{seed + 1} seeds: mean {np.mean(pulls):+.3f} sigma, width {np.std(pulls, ddof=min(seed, 1)):.3f}", end="\r")
    print()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 60)
