"""``tsogrid stats``: how the light curves of a result scatter."""

import json
import math
import sys
from typing import Annotated, Any

import typer

from tsogrid.cli.stored import StorageOption
from tsogrid.cli.stored import storage as reached

# Column of the table → heading; scatter is shown in per cent of the flux, or in parts per million where it is small.
_LABELS = {"source": "source", "aperture": "aperture", "sky": "sky", "points": "points", "flagged": "flags"}
_WORDS = 3  # columns of words come first
_SCATTER = {"std": "std", "mad": "MAD", "point_to_point": "p2p", "expected": "error"}


def stats(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    source: Annotated[
        list[str] | None, typer.Option(help="Name or number, or all [default: the targets].", metavar="NAME")
    ] = None,
    aperture: Annotated[
        list[str] | None, typer.Option(help="Label or radius, or all [default: the best over each sky].", metavar="A")
    ] = None,
    sky: Annotated[list[str] | None, typer.Option(help="Label or number [default: all].", metavar="SKY")] = None,
    relative: Annotated[
        bool | None,
        typer.Option(
            "--relative/--absolute", help="Over the reference stars [default: where there are any].", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read; fractions of the flux.")] = False,
    storage: StorageOption = None,
) -> None:
    """Say how the light curves scatter.

    Standard deviation, MAD and point to point (p2p), the error that is expected, p2p over it, and the rms of means of 10,
    30 and 100 frames; in per cent or parts per million of the flux.
    """
    from tsogrid import open_result
    from tsogrid.analysis.stats import stats as make
    from tsogrid.cli.failures import reading

    result = open_result(store, reached(storage))
    apertures = None if aperture is None else [_number(each, float) for each in aperture]
    skies = None if sky is None else [_number(each, int) for each in sky]
    sources = None if source is None else [_number(each, int) for each in source]
    with reading(store):
        table = make(result, _alone(sources), _alone(apertures), skies, relative)
    rows = table.to_dict("records")
    if as_json:
        plain = [
            {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
            for row in rows
        ]
        typer.echo(json.dumps(plain, indent=1, allow_nan=False))
        return
    show(rows)


def _number(text: str, kind: type) -> Any:
    """Read a number where the text is one; else it is a name."""
    try:
        return kind(text)
    except ValueError:
        return text


def _alone(given: list[Any] | None) -> Any:
    return "all" if given == ["all"] else given


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table: fitted to a terminal, or plain columns in a pipe.

    Parameters
    ----------
    rows : list of dict
        From `tsogrid.analysis.stats.stats`.
    """
    binned = [name for name in rows[0] if name.startswith("binned_")]
    lengths = [name.removeprefix("binned_") for name in binned]
    head = [*_LABELS.values(), *_SCATTER.values(), "ratio", *lengths]
    small = all(not row["std"] > 1e-3 for row in rows)
    scale, unit = (1e6, "ppm") if small else (100.0, "%")
    lines = [
        [
            *(str(row[name]) for name in _LABELS),
            *(_short(scale * row[name]) for name in _SCATTER),
            "-" if math.isnan(row["ratio"]) else f"{row['ratio']:.2f}",
            *(_short(scale * row[name]) for name in binned),
        ]
        for row in rows
    ]
    how = sorted({"over the reference stars" if row["relative"] else "as measured" for row in rows})
    title = f"{rows[0]['frames']} frames, {' or '.join(how)}; scatter in {unit} of the flux; ratio = p2p/error"
    title += f"; {', '.join(lengths)}: rms of means of so many frames" if lengths else ""
    if sys.stdout.isatty():
        _on_terminal(title, head, lines)
        return
    widths = _widths(head, lines)
    typer.echo(f"# {title}")
    for line in [head, *lines]:
        words = [
            word.ljust(width) if index < _WORDS else word.rjust(width)
            for index, (word, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(words).rstrip())


def _on_terminal(title: str, head: list[str], lines: list[list[str]]) -> None:
    """Print a table that fits: where the names of the skies make it too wide, they get numbers and stand below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    skies = list(dict.fromkeys(line[2] for line in lines))
    if sum(_widths(head, lines)) + len(head) > console.width:
        lines = [[*line[:2], str(skies.index(line[2])), *line[3:]] for line in lines]
    else:
        skies = []
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index < _WORDS else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    console.print(title, markup=False)
    console.print(table)
    for number, sky in enumerate(skies):
        console.print(f"sky {number}: {sky}", markup=False)


def _widths(head: list[str], lines: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(head, *lines, strict=True)]


def _short(value: float) -> str:
    """Write a number in five characters or so; a dash for what is unknown."""
    return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"
