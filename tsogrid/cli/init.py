"""``tsogrid init``: a configuration for given files, with a word on each key; it runs as it is written.

Nothing is asked. What is not known is guessed (`tsogrid.cli.guesses`), and said on the terminal and beside each key.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsogrid.cli.guesses import Guess, GuessedStar, guess
from tsogrid.io.remote_names import is_remote

if TYPE_CHECKING:
    import xarray as xr

MOST_NAMES = 20  # files that are listed one by one


def init(
    files: Annotated[list[str], typer.Argument(help="FITS files, folders, patterns or URLs.", metavar="FILES")],
    output: Annotated[Path, typer.Option(help="The file to write.", metavar="PATH")] = Path("night.yaml"),
) -> None:
    """Write a commented configuration for files.

    `tsogrid run` takes it as it is. Positions come from the header, or are stars found in the first frames: look at them
    before you trust them.
    """
    from tsogrid import Config, open_frames
    from tsogrid.config_file import parse
    from tsogrid.errors import ConfigError

    refusal = ConfigError(
        f"{output}: expected a new file, found one that exists. Nothing was changed; choose another --output."
    )
    if output.exists():
        raise refusal
    frames = open_frames(list(files))
    guessed = guess(frames, files)
    text = configuration_text(frames, named(files, output.absolute().parent), f"{output.stem}.zarr", guessed)
    Config.from_mapping(parse(text, str(output)), where=str(output))
    try:
        with output.open("x", encoding="utf-8") as file:  # never over a file that appeared meanwhile
            file.write(text)
    except FileExistsError:
        raise refusal from None
    typer.echo(f"{output}: written for {frames.sizes['time']} frames")
    for line in guessed.lines:
        typer.echo(f"  {line}")
    typer.echo(f"next: check the sources in it, then: tsogrid run {output} --dry-run, tsogrid run {output}")


def named(files: Sequence[str], folder: Path) -> list[str]:
    """Name files as a configuration in a folder best names them: relative to it if they lie below, and shortly.

    Parameters
    ----------
    files : sequence of str
        Files, folders or patterns, as given.
    folder : Path
        Where the configuration will lie.

    Returns
    -------
    list of str
    """
    if any(map(is_remote, files)):
        return [name if is_remote(name) else os.path.abspath(os.path.expanduser(name)) for name in files]
    paths = [os.path.abspath(os.path.expanduser(name)) for name in files]
    parents = {os.path.dirname(path) for path in paths}
    if len(paths) > MOST_NAMES and len(parents) == 1:
        from tsogrid.errors import InputError
        from tsogrid.io.files import resolve

        parent = parents.pop()
        try:
            everything = resolve([parent])
        except InputError:  # the folder's files are named unlike FITS files
            everything = []
        if sorted(everything) == sorted(paths):
            paths = [parent]
    below = os.path.join(os.path.realpath(folder), "")
    return [os.path.relpath(path, folder) if os.path.realpath(path).startswith(below) else path for path in paths]


def configuration_text(frames: "xr.Dataset", files: list[str], store: str, guessed: Guess) -> str:
    """Compose a configuration with comments.

    Parameters
    ----------
    frames : Dataset
        The opened files.
    files : list of str
        As they are to stand in ``input.files``.
    store : str
        As it is to stand in ``output.store``.
    guessed : Guess
        Sources, gain and read noise.

    Returns
    -------
    str
        YAML.
    """
    ny, nx = frames.sizes["y"], frames.sizes["x"]
    attributes = frames.attrs
    stars = "\n".join(_star(star) for star in guessed.stars)
    listed = "\n".join(f"    - {_quoted(name)}" for name in files)
    box, fit_box = _box(41, ny, nx), _box(25, ny, nx)
    camera = " ".join(str(attributes[key]) for key in ("instrument", "detector", "filter", "target") if key in attributes)
    registration = f"{{frame: {guessed.frame}}}" if guessed.frame else "auto"
    about = f"{frames.sizes['time']} frames of {ny} × {nx} pixels{f', {camera}' if camera else ''}"
    amplifiers = attributes.get("amplifiers")
    columns = zip(amplifiers[::2], amplifiers[1::2], strict=True) if amplifiers else [("START", "STOP")]
    listed_columns = ", ".join(f"[{start}, {stop}]" for start, stop in columns)
    return f"""\
# A tsogrid configuration: {about}.
# tsogrid run {Path(store).stem}.yaml --dry-run says what it would do; all other keys keep their defaults.

input:
  files:                     # files, folders or patterns; relative to this file
{listed}
  exclude: []                # patterns of files to leave out
  error: auto                # the error planes of the files; none: no errors
{_gain_lines(frames, guessed)}
sources:                     # positions in pixels: the centre of the first is x = 0, y = 0; or ra and dec with a WCS
{stars}

center:                      # where the star is in each frame
  search_box: {box:<14} # full width in which it is looked for; wider than it ever moves
  registration: {registration:<12} # images without a WCS are followed by the pattern of their stars instead; or on, off
  method: gaussian           # or center-of-mass, none
  fit_box: {fit_box:<17} # full width of the fit
  position: frame            # apertures follow each frame; median: of all frames; fixed: as given in sources

sky:                         # each gives a light curve of its own; a list in the list is applied in order
  - {{method: annulus, inner: 8, outer: 14, statistic: clipped-median}}
  # against 1/f noise: rows of amplifiers ({"from the header" if amplifiers else "give the column ranges"}), then the annulus
  # - [{{method: rowamp, mask_radius: 20, amplifiers: [{listed_columns}]}}, {{method: annulus, inner: 8, outer: 14}}]

apertures:
  - {{shape: circle, radius: [3, 4, 5]}}       # pixels; or a range with its ends: "3:10:0.5"

output:
  store: {_quoted(store)}

cluster:
  kind: auto                 # none, local, slurm, pbs, kubernetes, or address with address: tcp://host:8786
"""


def _star(star: GuessedStar) -> str:
    """Write a source as a line."""
    role = ", role: reference" if star.role == "reference" else ""
    entry = f"  - {{name: {star.name}, x: {star.x:g}, y: {star.y:g}{role}}}"
    return f"{entry:<58} # {star.reason}"


def _box(width: int, ny: int, nx: int) -> int:
    """Give a box no wider than the frame."""
    return max(3, min(width, (min(ny, nx) - 1) // 2 * 2 + 1))


def _gain_lines(frames: "xr.Dataset", guessed: Guess) -> str:
    """Name the keywords of gain and read noise where the files have no errors; neither is ever assumed."""
    if "error" in frames:
        return ""
    lines = []
    for key, found, unit, said in (
        ("gain", guessed.gain, "electron per data unit", ": a number, or the header keyword that holds it (GAIN)"),
        ("read_noise", guessed.read_noise, "electron", ", likewise; without them the errors of fluxes are NaN"),
    ):
        text = f"{unit}: the header's, {found[1]:g} in the first file; check it" if found else f"{unit}{said}"
        entry = f"{key}: {found[0] if found else 'null'}"
        lines.append(f"  {entry:<26} # {text}\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    """Quote text for YAML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
