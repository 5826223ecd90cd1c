"""Configuration files: YAML read without its traps, and errors in the user's words.

The loader knows no base-60 numbers (``3:20:0.5`` and ``02:04:10.3`` stay text), reads ``1e-3`` as a number and refuses a key
that stands twice. Validation errors become one line a wrong key, with the nearest known key where one was misspelt.
"""

import difflib
import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tsogrid.errors import ConfigError


class PlainLoader(yaml.SafeLoader):
    """YAML's safe loader with the numbers of YAML 1.2 and no repeated keys."""


PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    keys = [str(loader.construct_object(key)) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands here {keys.count(key)} times", node.start_mark
            )
    return loader.construct_mapping(node, deep=True)


PlainLoader.add_constructor("tag:yaml.org,2002:int", _int)
PlainLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse(text: str, where: str) -> Any:
    """Read YAML text.

    Parameters
    ----------
    text : str
        The YAML.
    where : str
        What to call it in an error.

    Returns
    -------
    dict, list or scalar

    Raises
    ------
    ConfigError
        Broken YAML, with line and column.
    """
    try:
        return yaml.load(text, PlainLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{where}{place}: expected YAML, found: {problem}. Mend that line.") from None


# Keys whose values are paths; a header keyword or a number in place of a path is left alone.
_PATHS = (
    ("input", "files"),
    ("input", "manifest"),
    ("output", "store"),
    ("center", "psf"),
    ("center", "position_file"),
    ("center", "drift", "file"),
    ("calibrate", "mask"),
    ("calibrate", "masters"),
    *(("calibrate", key) for key in ("bias", "dark", "flat")),
    *(("calibrate", key, "files") for key in ("bias", "dark", "flat")),
    ("input", "gain"),
    ("cluster", "folder"),
    ("cluster", "template"),
    ("cluster", "security", "ca_file"),
    ("cluster", "security", "cert"),
    ("cluster", "security", "key"),
)
# Names of kinds, which stand in the path of a validation error and in no file.
_TAGS = (
    *("annulus", "rectangle", "colrow", "rowamp", "readout-gp", "circle", "frame", "none"),
    *("a star", "a catalogue", "a detection"),
)


def _resolve(value: Any, base: Path) -> Any:
    if isinstance(value, list):
        return [_resolve(item, base) for item in value]
    if not isinstance(value, str) or "://" in value:
        return value
    return str(base / Path(value).expanduser())


def _resolve_catalogues(sources: Any, base: Path) -> Any:
    """Make the paths of catalogues absolute; one stands as text, or under the key catalogue."""
    if isinstance(sources, list):
        return [_resolve_catalogues(entry, base) for entry in sources]
    if isinstance(sources, dict) and isinstance(sources.get("catalogue"), str):
        return {**sources, "catalogue": _resolve(sources["catalogue"], base)}
    return _resolve(sources, base) if isinstance(sources, str) else sources


def _resolve_paths(content: dict[str, Any], base: Path) -> None:
    if "sources" in content:
        content["sources"] = _resolve_catalogues(content["sources"], base)
    for *sections, key in _PATHS:
        part: Any = content
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        if not isinstance(part, dict) or key not in part:
            continue
        value = part[key]
        if isinstance(value, dict):  # whose files are another key
            continue
        is_word = isinstance(value, str) and "/" not in value and not Path(value).suffix
        if key in ("psf", "gain") and is_word:  # "gaussian", or a header keyword
            continue
        part[key] = _resolve(value, base)


def _inner(content: Any, step: str) -> Any:
    """Go one step down; a chain of one sky step may be left out of the path."""
    if isinstance(content, list) and len(content) == 1 and not step.isdigit():
        content = content[0]
    return content


def _set(content: Any, steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        content = _inner(content, step)
        content = content[int(step)] if isinstance(content, list) else content[step]
    last = steps[-1]
    content = _inner(content, last)
    if isinstance(content, list):
        content[int(last)] = value
    elif isinstance(content, dict):
        content[last] = value
    else:
        raise TypeError(last)


def apply_overrides(content: dict[str, Any], overrides: dict[str, Any], model: type[BaseModel]) -> None:
    """Set dotted keys in a configuration, in place.

    A key that the file does not hold is looked for in the completed configuration, so that ``sky.0.inner`` works where the
    file leaves the sky to its default.

    Parameters
    ----------
    content : dict
        The configuration as read.
    overrides : dict
        Dotted key → value.
    model : type of BaseModel
        The model that completes ``content``.

    Raises
    ------
    ConfigError
        A key leads nowhere.
    """
    for key, value in overrides.items():
        steps = key.split(".")
        if steps[0] in model.model_fields and not isinstance(content.get(steps[0]), list) and len(steps) == 2:
            content.setdefault(steps[0], {})
        try:
            _set(content, steps, value)
            continue
        except (KeyError, IndexError, ValueError, TypeError):
            pass
        try:
            complete = model.model_validate(content).model_dump(mode="json")
            if isinstance(content.get(steps[0]), list):
                content[steps[0]] = complete[steps[0]]
            else:
                _complete(content, complete, steps[:-1])
            _set(content, steps, value)
        except (KeyError, IndexError, ValueError, TypeError):
            raise ConfigError(
                f"--set {key}: no such key. Expected a path such as center.search_box or sky.0.inner."
            ) from None


def _complete(content: Any, complete: Any, steps: list[str]) -> None:
    """Fill in the sections and lists that lead to a key, with their defaults where they have any."""
    for step in steps:
        if not isinstance(content, dict):
            return
        complete = complete.get(step) if isinstance(complete, dict) else None
        if content.get(step) is None:
            content[step] = complete if isinstance(complete, dict | list) else {}
        content = content[step]


def load(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        As it stands in the file.

    Raises
    ------
    ConfigError
        The file is missing, unreadable or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. `tsogrid init` writes a configuration to begin with.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file, found: {error}.") from None
    content = parse(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected keys such as input: and sources:, found {type(content).__name__}. "
            "`tsogrid init` writes a configuration to begin with."
        )
    return content


def overridden(content: dict[str, Any], overrides: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Set dotted keys in a configuration, in place; paths among them are relative to the working folder.

    Parameters
    ----------
    content : dict
        A configuration whose paths are absolute.
    overrides : dict
        Dotted key → value.
    model : type of BaseModel
        The model of the configuration.

    Returns
    -------
    dict
        `content`.

    Raises
    ------
    ConfigError
        A key leads nowhere.
    """
    apply_overrides(content, overrides, model)
    _resolve_paths(content, Path.cwd())
    return content


def read_config(path: Path, overrides: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Read a configuration file into a nested dict with absolute paths.

    Parameters
    ----------
    path : Path
        The YAML file.
    overrides : dict
        Dotted key → value, applied after reading; paths among them are relative to the working folder.
    model : type of BaseModel
        The model of the configuration.

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        The file is missing, unreadable or not a mapping, or an override leads nowhere.
    """
    content = load(path)
    _resolve_paths(content, path.resolve().parent)
    return overridden(content, overrides, model)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _known_keys(model: type[BaseModel], steps: tuple[Any, ...]) -> list[str]:
    """Field names at the place of an error, following its path through the models."""
    models = [model]
    for step in steps:
        if not isinstance(step, str):
            continue
        chosen = [each for each in models if any(get_args(f.annotation) == (step,) for f in each.model_fields.values())]
        if chosen:  # a tag of a union, such as "annulus"
            models = chosen
            continue
        named = [field for each in models for name, field in each.model_fields.items() if name == step]
        models = [found for field in named for found in _models_in(field.annotation)] or models
    return sorted({name for each in models for name in each.model_fields})


def _without_tags(steps: tuple[Any, ...]) -> list[Any]:
    """The path of an error as a user writes it; under ``cluster`` the kind, which comes first, may have a key's name."""
    if steps[:1] == ("cluster",):
        return [steps[0], *steps[2:]]
    return [step for step in steps if step not in _TAGS]


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Word a validation error: one line a wrong key.

    Parameters
    ----------
    error : ValidationError
        From a pydantic model.
    where : str
        The file's name.
    model : type of BaseModel
        The model that refused.

    Returns
    -------
    str
    """
    lines = []
    for item in error.errors():
        steps = item["loc"]
        keys = _known_keys(model, steps[:-1])
        path = ".".join(str(step) for step in _without_tags(steps))
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(steps[-1]), keys, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(keys)}."
            line = f"{path}: unknown key; {hint}"
        else:
            message = item["msg"].removeprefix("Value error, ")
            found = item.get("input")
            shown = f" (found {found!r})" if isinstance(found, str | int | float | bool) and "found" not in message else ""
            line = f"{path}: {message}{shown}" if path else f"{message}{shown}"
        if line not in lines:
            lines.append(line)
    head = f"{where} is not a valid configuration:"
    return "\n".join([head, *(f"  {line}" for line in lines)])
