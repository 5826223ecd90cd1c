"""``tsogrid detect``: the stars of a field, which of them are good for comparison, and why the others are not."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # rows in a terminal; files hold all


def detect(
    what: Annotated[list[str], typer.Argument(help="A configuration, or FITS files, folders or patterns.", metavar="WHAT")],
    reference_frame: Annotated[
        str, typer.Option(help="Number (0-based) or file name of the frame that is searched.", metavar="FRAME")
    ] = "auto",
    threshold: Annotated[float | None, typer.Option(help="Standard deviations of the noise [default: 5].")] = None,
    fwhm: Annotated[float | None, typer.Option(help="Of the stars, pixels [default: found].")] = None,
    saturation: Annotated[float | None, typer.Option(help="Full pixels are above it [default: found by flat tops].")] = None,
    trial: Annotated[
        int, typer.Option(help="Measure the good stars in so many frames (20 or more), and refuse those that vary.")
    ] = 0,
    accepted: Annotated[bool, typer.Option("--accepted", help="Only the stars that are good for comparison.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write sources: .yaml the good ones, .csv or .ecsv a catalogue.", metavar="PATH"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """List the stars of a field, and propose comparison stars.

    A frame tells which stars are bright, round, not saturated and alone; a --trial also which are constant. Each star that
    is refused has its reason.
    """
    from tsogrid import Config
    from tsogrid import detect as find

    told = {"threshold": threshold, "fwhm": fwhm, "saturation": saturation}
    settings: dict[str, Any] = {key: value for key, value in told.items() if value is not None}
    if reference_frame != "auto":
        settings["reference_frame"] = int(reference_frame) if reference_frame.isdigit() else reference_frame
    is_config = len(what) == 1 and Path(what[0]).suffix.lower() in (".yaml", ".yml")
    table = find(Config.from_yaml(what[0]) if is_config else list(what), trial=trial, **settings)
    chosen = table[table["accepted"]] if accepted else table
    if output is not None:
        write(chosen, output)
    if as_json:
        rows = [{key: _plain(value) for key, value in row.items()} for row in chosen.to_dict("records")]
        typer.echo(json.dumps({**table.attrs, "stars": rows}, indent=1, allow_nan=False))
        return
    for line in listed(chosen):
        typer.echo(line)
    where = table.attrs.get("file", f"frame {table.attrs['frame']}")
    good = int(table["accepted"].sum())
    typer.echo(f"{where}: {len(table)} found, {good} good for comparison, FWHM {table.attrs['fwhm']:.2f} pixels")
    if output is not None:
        typer.echo(f"{output}: written")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


def listed(table: "pd.DataFrame") -> list[str]:
    """Lay out the table for a terminal.

    Parameters
    ----------
    table : DataFrame
        From `tsogrid.detect`.

    Returns
    -------
    list of str
    """
    tried = bool(table["scatter"].notna().any())
    head = f"{'name':<10} {'x':>8} {'y':>8} {'flux':>10} {'S/N':>8} {'FWHM':>6} {'scatter' if tried else '':>8}  verdict"
    lines = [head.replace(" " * 9 + " verdict", " verdict") if not tried else head]
    for row in table.head(SHOWN).to_dict("records"):
        scatter = f" {row['scatter'] * 100:>7.3g}%" if tried and math.isfinite(row["scatter"]) else " " * 9 if tried else ""
        verdict = "good" if row["accepted"] else row["reason"]
        numbers = f"{row['x']:>8.1f} {row['y']:>8.1f} {row['flux']:>10.4g} {row['snr']:>8.3g} {row['fwhm']:>6.2f}"
        lines.append(f"{row['name']:<10} {numbers}{scatter}  {verdict}")
    if len(table) > SHOWN:
        lines.append(f"… and {len(table) - SHOWN} more (--json, or -o for all)")
    return lines


def write(table: "pd.DataFrame", path: Path) -> None:
    """Write stars as sources for a configuration.

    Parameters
    ----------
    table : DataFrame
        From `tsogrid.detect`.
    path : Path
        ``.yaml``: the good stars as ``sources`` with role reference. ``.csv`` or ``.ecsv``: a catalogue of all its rows,
        with verdicts.

    Raises
    ------
    ConfigError
        Another ending.
    """
    from tsogrid.errors import ConfigError

    kind = path.suffix.lower()
    if kind in (".csv", ".ecsv"):
        from astropy.table import Table

        on_sky = bool(table["ra"].notna().all()) and len(table) > 0
        left = table if on_sky else table.drop(columns=["ra", "dec"])
        Table.from_pandas(left).write(path, format=f"ascii.{kind[1:]}", overwrite=True)
        return
    if kind not in (".yaml", ".yml"):
        raise ConfigError(f"{path}: expected an output named .yaml, .csv or .ecsv, found the ending {kind or 'none'!r}.")
    lines = ["sources:"]
    for row in table[table["accepted"]].to_dict("records"):
        on_sky = math.isfinite(row["ra"])
        place = f"ra: {row['ra']:.8f}, dec: {row['dec']:.8f}" if on_sky else f"x: {row['x']:.3f}, y: {row['y']:.3f}"
        lines.append(f"  - {{name: {row['name']}, {place}, role: reference}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
