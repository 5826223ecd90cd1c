"""``tsogrid convert``: a parameter file of tshirt as a configuration, with a word on every key."""

from pathlib import Path
from typing import Annotated

import typer

SEPARATOR = "---\n"


def convert(
    parameters: Annotated[Path, typer.Argument(help="A parameter file of tshirt's photometry.", metavar="PARAMS")],
    output: Annotated[
        Path | None, typer.Option(help="The file to write; a batch is numbered: NAME-1.yaml, NAME-2.yaml.", metavar="PATH")
    ] = None,
) -> None:
    """Write a tshirt parameter file as a tsogrid configuration.

    Without --output it is printed, the runs of a batch between lines of ---. `tsogrid run` takes the parameter file itself.
    """
    from tsogrid.compat.tshirt import convert as converted
    from tsogrid.compat.tshirt import is_tshirt
    from tsogrid.compat.tshirt_yaml import to_yaml
    from tsogrid.config_file import load
    from tsogrid.errors import ConfigError, StoreError

    content = load(parameters)
    if not is_tshirt(content):
        found = ", ".join(str(key) for key in content) or "none"
        raise ConfigError(f"{parameters}: expected tshirt's parameters, such as procFiles and refStarPos, found {found}.")
    folder = Path.cwd() if output is None else output.parent
    texts = to_yaml(converted(content, parameters), folder)
    if output is None:
        if len(texts) > 1:
            typer.echo(
                f"# A batch of {len(texts)} runs. `tsogrid run {parameters}` does them all; --output writes a file for each."
            )
        typer.echo(SEPARATOR.join(texts), nl=False)
        return
    paths = [output] if len(texts) == 1 else [output.with_stem(f"{output.stem}-{n}") for n in range(1, len(texts) + 1)]
    standing = [str(path) for path in paths if path.exists()]
    if standing:
        raise ConfigError(f"expected new files, found {', '.join(standing)}. Nothing was changed; choose another --output.")
    for path, text in zip(paths, texts, strict=True):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StoreError(f"{path}: the configuration could not be written: {error.strerror or error}.") from None
        typer.echo(f"{path}: written; next: tsogrid run {path}")
