"""``tsogrid detrend``: a light curve freed of its systematics, as a table, and in words what was done."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tsogrid.cli.stored import StorageOption
from tsogrid.cli.stored import storage as reached


def detrend(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    regressors: Annotated[str, typer.Option(help="As x,y,x^2,sigma_x,sky; or none.", metavar="NAMES")] = "x,y",
    order: Annotated[int | None, typer.Option(min=0, max=5, help="Powers of time [default: 1].", metavar="N")] = None,
    transit: Annotated[
        str | None,
        typer.Option(help="Mid-time and duration, in days; or none. Unknown: a line in time alone.", metavar="MID,DURATION"),
    ] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Leave the transit out, in place of fitting its depth.")] = False,
    ramp: Annotated[bool, typer.Option("--ramp", help="An exponential ramp too.")] = False,
    step: Annotated[list[float] | None, typer.Option(help="A time of a step; repeatable.", metavar="TIME")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV or ECSV of regressors by time.", metavar="PATH")] = None,
    bic: Annotated[bool, typer.Option("--bic", help="Keep what lowers the BIC.")] = False,
    red_noise: Annotated[bool, typer.Option("--red-noise", help="Errors for noise correlated in time.")] = False,
    source: Annotated[str | None, typer.Option(help="[default: the first target]", metavar="NAME")] = None,
    aperture: Annotated[str | None, typer.Option(help="Label or radius [default: the best].", metavar="A")] = None,
    sky: Annotated[str | None, typer.Option(help="Label or number [default: the best].", metavar="SKY")] = None,
    relative: Annotated[
        bool | None,
        typer.Option("--relative/--absolute", help="[default: relative with reference stars]", show_default=False),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="A table (.ecsv or .csv).", metavar="PATH")] = None,
    storage: StorageOption = None,
) -> None:
    """Take off what pointing, sky and time explain; keep the transit."""
    from tsogrid import open_result
    from tsogrid.analysis.detrended_table import detrended_table, said
    from tsogrid.cli.failures import reading

    kinds = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}
    if output is not None and output.suffix.lower() not in kinds:
        raise typer.BadParameter(f"expected a name that ends in .ecsv or .csv, found {output.name!r}", param_hint="--output")
    names = [] if regressors == "none" else [name for name in regressors.split(",") if name]
    when = _transit(transit)
    result = open_result(store, reached(storage))
    with reading(store):
        found = result.tso.detrend(
            names, order, when, source=_number(source, int), aperture=_number(aperture, float), sky=_number(sky, int),
            relative=relative, signal="mask" if mask else "fit", ramp=ramp, steps=step or (), table=table,
            choose="bic" if bic else None, red_noise=red_noise,
        )  # fmt: skip
    for line in said(found):
        typer.echo(line)
    if output is not None:
        written = detrended_table(found)
        written.write(output, format=kinds[output.suffix.lower()], overwrite=True)
        typer.echo(f"{output}: {len(written)} frames, written from {store}")


def _transit(text: str | None) -> Any:
    """Read what is known of the transit."""
    if text is None or text == "none":
        return None if text is None else False
    parts: list[Any] = [_number(part.strip(), float) for part in text.split(",")]
    if not 2 <= len(parts) <= 4 or isinstance(parts[0], str):
        raise typer.BadParameter(f"expected MID,DURATION in days, or none, found {text!r}", param_hint="--transit")
    return tuple(parts)


def _number(text: str | None, kind: type) -> Any:
    """Read a number where the text is one; else it is a name."""
    try:
        return None if text is None else kind(text)
    except ValueError:
        return text
