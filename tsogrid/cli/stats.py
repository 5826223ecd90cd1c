"""``tsogrid stats``: how the light curves of a result scatter."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

# Column of the table → heading; scatter is shown in per cent of the flux.
_LABELS = {"source": "source", "aperture": "aperture", "sky": "sky", "points": "points", "flagged": "flagged"}
_PERCENT = {"std": "std", "mad": "MAD", "point_to_point": "p2p", "expected": "error"}


def stats(
    store: Annotated[Path, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
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
) -> None:
    """Say how the light curves scatter.

    Standard deviation, MAD and point to point (p2p), beside the error that is expected; then the rms of means of 10, 30
    and 100 frames. All in per cent of the flux.
    """
    from tsogrid import open_result
    from tsogrid.analysis.stats import stats as make
    from tsogrid.cli.failures import reading

    result = open_result(store)
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
    """Print the table: with rules on a terminal, plain columns in a pipe.

    Parameters
    ----------
    rows : list of dict
        From `tsogrid.analysis.stats.stats`.
    """
    binned = [name for name in rows[0] if name.startswith("binned_")]
    head = [*_LABELS.values(), *_PERCENT.values(), "p2p/error", *(f"mean {name.removeprefix('binned_')}" for name in binned)]
    lines = [
        [
            *(str(row[name]) for name in _LABELS),
            *(_percent(row[name]) for name in _PERCENT),
            "-" if math.isnan(row["ratio"]) else f"{row['ratio']:.2f}",
            *(_percent(row[name]) for name in binned),
        ]
        for row in rows
    ]
    how = sorted({"over the reference stars" if row["relative"] else "as measured" for row in rows})
    title = f"{rows[0]['frames']} frames, {' or '.join(how)}; scatter in % of the flux"
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for name in head:
            table.add_column(name, justify="left" if name in ("source", "aperture", "sky") else "right", overflow="fold")
        for line in lines:
            table.add_row(*line)
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    typer.echo(f"# {title}")
    for line in [head, *lines]:
        words = [
            word.ljust(width) if index < 3 else word.rjust(width)
            for index, (word, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(words).rstrip())


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.3g}"
