"""Every kernel and the whole chain beside the programs that do the same, on one core.

``python -m benchmarks.peers`` compares the results, then lets all take turns and prints microseconds of thread CPU time for
a frame (the median, and the quartiles of the rounds) and how many times tsogrid's time that is. ``--case TEXT`` takes the
contests whose name has this text (several may be given), ``--quick`` few frames and rounds, ``--json FILE`` writes the
table. Words without a dash are kinds of contests: ``python -m benchmarks.peers aperture sky``.
"""

import argparse
import importlib
import json
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llvmlite.binding import get_host_cpu_name

from benchmarks.contest import Contest, Times

MODULES = ("aperture", "sky", "centering", "colrow", "amplifier", "shapes", "time_filter", "chain")
PEERS = ("tsogrid", "numpy", "scipy", "numba", "astropy", "photutils", "sep", "bottleneck")


def contests(quick: bool = False, modules: Sequence[str] = MODULES) -> Iterator[Contest]:
    """All contests, those of one module at a time."""
    for name in modules:
        yield from importlib.import_module(f"benchmarks.bench_{name}").contests(quick)


def machine() -> dict[str, Any]:
    """What the ratios belong to: processor, Python, versions."""
    return {"processor": get_host_cpu_name(), "python": platform.python_version(), **{name: version(name) for name in PEERS}}


def row(contest: Contest, name: str, times: dict[str, Times]) -> dict[str, Any]:
    """One line of the table."""
    peer = contest.peers.get(name)
    return {
        "contest": contest.name,
        "runner": name,
        **times[name]._asdict(),
        "ratio": times[name].median / times["tsogrid"].median,
        "target": peer.target if peer else None,
    }


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Print the table; returns its lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", help="kinds of contests; all if not given")
    parser.add_argument("--case", action="append", default=[], metavar="TEXT", help="contests whose name has this text")
    parser.add_argument("--quick", action="store_true", help="few frames, three rounds")
    parser.add_argument("--rounds", type=int, default=None, help="turns that count; 11 if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (3 if given.quick else 11)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        for contest in contests(given.quick, given.modules or MODULES):
            if given.case and not any(text in contest.name for text in given.case):
                continue
            contest.compare()
            times = contest.times(rounds)
            print(contest.name)
            for name, each in times.items():
                line = row(contest, name, times)
                rows.append(line)
                aim = f"  aim {line['target']:g}" if line["target"] else ""
                print(f"  {name:40s}{each.median:12.1f} µs ({each.low:.1f} – {each.high:.1f}){line['ratio']:9.2f} ×{aim}")
            sys.stdout.flush()
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rounds": rounds, "table": rows}, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main()
