"""What more of the same costs: a second pass over the series, ten annuli and three skies of the frame.

``python -m benchmarks.jobs`` prints the CPU time of a frame for the chain of `benchmarks.bench_chain`, and how many times
that it takes with positions at their median (two passes), and with 20 radii over ten annuli on three skies of the frame, of
every kind; of these also, how many times what the last of the thirty takes alone, which must give the same bits.
``--size 256 2048`` gives rows and columns, ``--frames`` their number; a word chooses the jobs that hold it.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tsogrid
from benchmarks.bench_chain import INNER, MASK, OUTER, Night
from tsogrid.engine.plan import Plan
from tsogrid.engine.positions import gathered, series_positions
from tsogrid.engine.run import prepared

ALL, LAST = "30 skies: ", "the last of: "


def skies(night: Night) -> dict[str, list[list[dict[str, Any]]]]:
    """Thirty skies of every kind: three models of the frame, most with masks of three sizes, each with ten annuli."""
    bounds = [[night.width * k, night.width * (k + 1)] for k in range(night.amplifiers)]
    rows = [{"method": "rowamp", "mask_radius": MASK + 2.0 * k, "amplifiers": bounds} for k in range(3)]

    def over(
        *models: list[dict[str, Any]], statistic: str = "clipped-median", wider: float = 0.0
    ) -> list[list[dict[str, Any]]]:
        ring = {"method": "annulus", "statistic": statistic}
        radii = [(INNER + 0.5 * k, OUTER + wider + 0.5 * k) for k in range(10)]
        return [[*model, {**ring, "inner": inner, "outer": outer}] for model in models for inner, outer in radii]

    masks: list[list[dict[str, Any]]] = [[row] for row in rows]
    polynomial = {"method": "colrow", "inner": INNER, "outer": OUTER}
    return {
        "clipped medians": over(*masks),
        "medians": over(*masks, statistic="median"),
        "clipped means": over(*masks, statistic="clipped-mean"),
        "exact means": over(*masks, statistic="mean"),
        "rings of 4000 pixels": over(*masks, wider=13.0),
        "rows smoothed": over(*([{**row, "smooth": 7}] for row in rows)),
        "even and odd columns": over(*([{**row, "even_odd": True}] for row in rows)),
        "three different models": over(masks[0], [{**rows[0], "even_odd": True}], [{**rows[0], "smooth": 7}]),
        "polynomials, too": over(*([row, polynomial] for row in rows)),
    }


def planned(night: Night, **changes: Any) -> Plan:
    """Have the night planned with some settings changed."""
    content = night.plan().config.model_dump(mode="json", exclude_unset=True)
    for name, value in changes.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    return prepared(tsogrid.Config.from_mapping(content))[1]


def whole(plan: Plan, frames: int) -> None:
    """Measure all frames, in as many passes as the plan has."""
    found: dict[str, np.ndarray] = {}
    for index, stages in enumerate(plan.passes):
        given = None
        if index:
            names = gathered(plan.recipe, stages[0])
            given = series_positions(plan.recipe, stages[0], {name: found[name] for name in names}, plan.planned(0, frames))
        found |= plan.measure(0, frames, index, given)


def compare(together: Plan, alone: Plan, frames: int) -> None:
    """Refuse a last sky that is not, to the bit, what it is alone."""
    n = min(frames, 8)
    if not np.array_equal(together.measure(0, n)["flux"][..., -1], alone.measure(0, n)["flux"][..., 0], equal_nan=True):
        raise AssertionError(f"expected the flux over {alone.config.sky[0]} to be the same among thirty skies as alone")


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print the table; returns microseconds of CPU a frame by job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("job", nargs="?", default="", help="of thirty skies, only those whose name holds this word")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # frames without a time
        night = Night(tuple(given.size), 4 if given.size[1] > 1000 else 1, given.frames)
        plans = {
            "the chain": planned(night),
            "position: median": planned(night, center={"position": "median"}),
        }
        for name, chains in skies(night).items():
            if given.job in name:
                plans[ALL + name], plans[LAST + name] = planned(night, sky=chains), planned(night, sky=[chains[-1]])
                compare(plans[ALL + name], plans[LAST + name], given.frames)
        jobs: dict[str, Callable[[], None]] = {name: partial(whole, plan, given.frames) for name, plan in plans.items()}
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for turn in range(given.rounds + 1):
            for name, job in jobs.items():
                start = time.thread_time()
                job()
                if turn:
                    times[name].append((time.thread_time() - start) / given.frames * 1e6)
    medians = {name: float(np.median(each)) for name, each in times.items()}
    for name, each in medians.items():
        if not name.startswith(LAST):
            alone = medians.get(name.replace(ALL, LAST)) if name.startswith(ALL) else None
            beside = "" if alone is None else f"{each / alone:8.2f} × the last alone"
            print(f"{name:34s}{each:10.1f} µs{each / medians['the chain']:8.2f} ×{beside}")
    return medians


if __name__ == "__main__":
    main()
