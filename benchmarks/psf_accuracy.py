"""Recovery, bias and pulls of profile photometry over simulated images: the numbers of docs and reviews.

Run: ``python benchmarks/psf_accuracy.py [images]``. One line a kind of field.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.survey.moffat_fields import field
from tsogrid.survey.psf_frame import PsfSettings
from tsogrid.survey.psf_photometry import photometry

LARGE = {"shape": (512, 512), "lonely": 25, "pairs": 6, "flux": (1e4, 7e5)}
KINDS = {
    "round": {},
    "axis ratio 0.8": {"axis_ratio": 0.8},
    "mean of the pixel": {"subpixels": 5},
    "FWHM 3.5, alpha 2.5": {"fwhm": 3.5, "alpha": 2.5},
    "FWHM 7, alpha 3.5": {"fwhm": 7.0, "alpha": 3.5},
    "faint sky": {"sky": 20.0, "read_noise": 5.0},
    "sloping sky": {"slope": 150.0},
    "equal pairs at 1.2 FWHM": {"ratio": 1.0, "pairs": 15, "lonely": 12},
    "pairs 1 : 0.25 at 1.2 FWHM": {"ratio": 0.25, "pairs": 15, "lonely": 12},
    "equal pairs at 0.8 FWHM": {"ratio": 1.0, "pairs": 15, "lonely": 12, "apart": 0.8},
}


def width(pulls: list[float]) -> float:
    """Standard deviation from the median of the distances to the median."""
    return float(1.4826 * np.median(np.abs(np.asarray(pulls) - np.median(pulls))))


def main() -> None:
    """Print the table."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print("kind | stars missed more | bias % worst image % | pairs % | pull x y flux | alpha | CPU s")
    for name, options in KINDS.items():
        kind = PsfSettings(fittype="ellip" if "axis_ratio" in options else "circ", bad_columns=())
        missed = more = count = 0
        bias, worst, pairs, alphas, seconds = [], [], [], [], []
        pulls: tuple[list[float], ...] = ([], [], [])
        for seed in range(images):
            data, stars = field(seed, **LARGE | options)  # type: ignore[arg-type]
            start = time.process_time()
            table = photometry(data, settings=kind)
            seconds.append(time.process_time() - start)
            rows = table.rows
            place, truth = rows[["x_fit", "y_fit"]].to_numpy(), stars[:, :2]
            distance = np.hypot(*(place[None] - truth[:, None]).transpose(2, 0, 1))
            nearest, found = distance.argmin(axis=1), distance.min(axis=1) < 1.5
            missed, count, more = missed + int((~found).sum()), count + len(stars), more + len(rows) - int(found.sum())
            off = rows[["x_fit", "y_fit", "flux_psf"]].to_numpy()[nearest] - stars[:, :3]
            error = rows[["x_err", "y_err", "flux_err"]].to_numpy()[nearest]
            share, lonely = off[:, 2] / stars[:, 2], (stars[:, 3] < 0) & found
            weight = (stars[:, 2] / error[:, 2]) ** 2
            bias.extend(share[lonely & (weight > 1e4)])
            worst.append(np.average(share[lonely], weights=weight[lonely]))
            pairs.extend(share[found & (stars[:, 3] >= 0)])
            alphas.append(table.psf.alpha if table.psf else np.nan)
            for axis in range(3):
                pulls[axis].extend((off / error)[found, axis])
        print(
            f"{name:27s} | {count} {missed} {more} | {100 * np.mean(bias):.3f} {100 * np.abs(worst).max():.3f} | "
            f"{100 * np.mean(pairs):.2f} | {width(pulls[0]):.2f} {width(pulls[1]):.2f} {width(pulls[2]):.2f} | "
            f"{np.mean(alphas):.3f} | {np.median(seconds):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
