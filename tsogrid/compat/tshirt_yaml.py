"""A converted parameter file as YAML that a person reads and goes on with."""

import os
import textwrap
from pathlib import Path
from typing import Any

import yaml

from tsogrid.compat.tshirt import Conversion, Run
from tsogrid.config import Config
from tsogrid.config_file import PlainLoader

WIDTH = 118
COMMENT_COLUMN = 44


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or `PlainLoader` would take for something else than a text."""


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *PlainLoader.yaml_implicit_resolvers.get(first, [])]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *PlainLoader.yaml_implicit_resolvers}
}


def to_yaml(conversion: Conversion, folder: str | Path | None = None) -> list[str]:
    """Write the configurations of a parameter file.

    Parameters
    ----------
    conversion : Conversion
        From `tsogrid.compat.tshirt.convert`.
    folder : path-like, optional
        Where the text will lie: paths below it are written relative to it. By default all are absolute.

    Returns
    -------
    list of str
        YAML, one text a run; `tsogrid.Config.from_yaml` reads from it what ``run.config`` is.
    """
    return [_text(run, None if folder is None else Path(folder).resolve()) for run in conversion.runs]


def _text(run: Run, folder: Path | None) -> str:
    lines = [f"# Made by `tsogrid convert` from {run.where}."]
    for title, notes in (
        ("Where it is not tshirt, and other things to know", run.differences),
        ("Not needed", run.unneeded),
    ):
        if notes:
            lines += ["#", f"# {title}:"]
        for note in notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="# - ", subsequent_indent="#   ")
    content = _relative(run.content, folder)
    for section in (name for name in Config.model_fields if name in content):
        part = content[section]
        lines.append("")
        if isinstance(part, list):
            lines.append(_line(f"{section}:", run.comments.get(section, "")))
            lines += [f"  - {_flow(entry)}" for entry in part]
            continue
        lines.append(f"{section}:")
        lines += [_line(f"  {key}: {_flow(value)}", run.comments.get(f"{section}.{key}", "")) for key, value in part.items()]
    return "\n".join(lines) + "\n"


def _line(text: str, comment: str) -> str:
    return f"{text:<{COMMENT_COLUMN}} # {comment}" if comment else text


def _flow(value: Any) -> str:
    """Write a value on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...").rstrip()


def _relative(content: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Write the paths below a folder relative to it."""
    if folder is None:
        return content

    def shortened(path: str) -> str:
        below = os.path.join(folder, "")
        return os.path.relpath(path, folder) if path.startswith(below) else path

    made = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    made["input"]["files"] = [shortened(path) for path in made["input"]["files"]]
    made["output"]["store"] = shortened(made["output"]["store"])
    center = made["center"]
    if "position_file" in center:
        center["position_file"] = shortened(center["position_file"])
    if "drift" in center:
        center["drift"] = {**center["drift"], "file": shortened(center["drift"]["file"])}
    return made
