"""The pages that are made from the code: every key of the configuration, every variable and flag of the result.

``python docs/make_reference.py`` writes docs/configuration.md and docs/result.md; a test holds that they are up to date.
Names, types, units and defaults come from the models, so they cannot drift; the words come from docs/reference.yaml, and a
key without a word is an error.
"""

import inspect
import re
import types
import typing
from enum import IntFlag
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Gt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tsogrid import config, flags, presets, schema
from tsogrid.config.section import odd
from tsogrid.io import axis, instruments

DOCS = Path(__file__).parent
NOTE = "<!-- Made from the code by docs/make_reference.py: edit docs/reference.yaml and run that. -->\n\n"
WORDS = yaml.safe_load((DOCS / "reference.yaml").read_text(encoding="utf-8"))

# Unions of models say nothing to a user; these keys have sections of their own.
KINDS = {
    ("Config", "sources"): "list, or one entry",
    ("Config", "sky"): "list of steps, or of lists of steps",
    ("Config", "apertures"): "list",
    ("CenterConfig", "sky"): "`auto`, `frame` or steps",
    ("Config", "cluster"): "section, kind or address",
    ("SlurmCluster", "security"): "`temporary`, `none` or section",
    ("InputConfig", "site"): "text, {lat, lon, height} or null",
    ("InputConfig", "target"): "text, {ra, dec} or null",
    ("InputConfig", "time_offset"): "number, ±hh:mm or null",
}
SKY = ("altitude", "airmass")
PRESENT = {
    "_always": "always",
    "_registered": "frames are registered",
    "_cross_correlated": "`predict: cross-correlation`",
    "_moment_predicted": "`predict: center-of-mass`",
    "_centred": "unless `method: none`",
    "_fitted": "`method: gaussian` or `gaussian-1d`",
    "_rotated": "`method: gaussian`",
    "_parabolic": "`method: quadratic`",
    "_scaled": "with `scaled` apertures",
    "_filtered": "with `calibrate.outliers`",
    "_amplified": "with `rowamp` or `readout-gp`",
}
PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}


def kind_of(annotation: Any, metadata: list[Any]) -> str:
    """Say a type in the user's words."""
    if get_origin(annotation) is typing.Annotated:
        inner, *more = get_args(annotation)
        return kind_of(inner, [*metadata, *more])
    for item in metadata:
        if isinstance(item, FieldInfo):
            metadata = [*metadata, *item.metadata]
    called = [getattr(item, "func", None) for item in metadata]
    if config.expand_range in called:
        return "number, list or range; > 0"
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin in (typing.Union, types.UnionType):
        known = [kind_of(part, metadata if part in (int, float) else []) for part in parts if part is not type(None)]
        return " or ".join(dict.fromkeys(known)) + (" or null" if type(None) in parts else "")
    if origin is list:
        one_is_enough = any(isinstance(item, BeforeValidator) for item in metadata)
        return f"list of {_many(kind_of(parts[0], []))}" + (", or one" if one_is_enough else "")
    if origin is tuple:
        return "[" + ", ".join(kind_of(part, []) for part in parts) + "]"
    if origin is dict:
        return "mapping"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    bounds = [f" ≥ {item.ge}" for item in metadata if isinstance(item, Ge)]
    bounds += [f" > {item.gt}" for item in metadata if isinstance(item, Gt)]
    return ("odd " if odd in called else "") + PLAIN[annotation] + "".join(bounds)


def _many(kind: str) -> str:
    return {"section": "sections"}.get(kind, kind)


def as_yaml(value: Any) -> str:
    """Write a value as YAML on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, BaseModel):
        return as_yaml(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_yaml(each) for each in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_of(field: FieldInfo) -> str:
    """Say a default as it would be written in YAML."""
    value = field.get_default()
    if value is PydanticUndefined:
        return "**required**"
    return "its own defaults" if isinstance(value, BaseModel) else f"`{as_yaml(value)}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Lay out a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def section(words: dict[str, Any]) -> str:
    """Make the part of the page for one model.

    Raises
    ------
    KeyError
        The words do not explain exactly the model's keys.
    """
    model = getattr(config, words["model"])
    meanings: dict[str, str] = words["keys"]
    if set(meanings) != set(model.model_fields):
        differ = set(meanings) ^ set(model.model_fields)
        raise KeyError(f"docs/reference.yaml, {words['heading']}: not the keys of {words['model']}: {', '.join(differ)}")
    rows = []
    for name, field in model.model_fields.items():
        kind = KINDS.get((words["model"], name)) or kind_of(field.annotation, list(field.metadata))
        rows.append((f"`{name}`", kind, default_of(field), meanings[name]))
    parts = (f"## {words['heading']}", words["introduction"], table(("key", "type", "default", "meaning"), rows))
    return "\n\n".join(part for part in parts if part)


def bits(kind: type[IntFlag]) -> str:
    """List the bits of a flag with the words that stand beside them in the code."""
    said = dict(re.findall(r"^    (\w+) = \d+  # (.+)$", inspect.getsource(kind), re.MULTILINE))
    rows = [(str(int(bit)), f"`{str(bit.name).lower()}`", said[str(bit.name)]) for bit in kind]
    return table(("bit", "name", "meaning"), rows)


def variables() -> str:
    """List the variables of the result."""
    units = {"{data}": "data", "{level}": "data / pixel"}
    rows = [
        (
            f"`{each.name}`",
            ", ".join(each.dims),
            each.dtype,
            units.get(each.unit, each.unit),
            each.long_name,
            PRESENT[each.when.__name__],
        )
        for each in schema.VARIABLES
    ]
    return table(("variable", "dimensions", "type", "unit", "meaning", "present"), rows)


def times() -> str:
    """List the time coordinates."""
    known = (("bjd_tdb", axis.BJD_ATTRS), ("jd_utc", axis.JD_ATTRS), ("mjd_utc", axis.MJD_ATTRS))
    rows = [("`time`", "the index: `bjd_tdb`, else `jd_utc`, else the frame number", "d, or 1")]
    rows += [(f"`{name}`", f"{content['long_name']} ({content['time_origin']})", "d") for name, content in known]
    rows += [
        *((f"`{name}`", schema.TIME_COORDINATES[name]["long_name"], schema.TIME_COORDINATES[name]["units"]) for name in SKY),
        ("`time_raw`", "the times as read, where the index is the frame number", "d"),
        ("`integration`", "number of the integration, from 1", "1"),
        ("`file`", "base name of the file", ""),
    ]
    return table(("coordinate", "meaning", "unit"), rows)


def page(name: str, parts: dict[str, str]) -> str:
    """Put the made parts into the words of a page."""
    text: str = WORDS["pages"][name]
    for key, part in parts.items():
        text = text.replace(f"<<{key}>>", part)
    return NOTE + text


def configuration_page() -> str:
    """Make docs/configuration.md."""
    preset = "\n".join(f"{name}: {as_yaml(value)}" for name, value in presets.PRESETS["jwst"].items())
    sections = "\n\n".join(section(words) for words in WORDS["sections"])
    return page("configuration", {"sections": sections, "preset": preset})


def result_page() -> str:
    """Make docs/result.md."""
    attributes = [*instruments.ATTRIBUTES, "amplifiers", "x_ref", "y_ref", "subarray_origin", "wcs", "gain", "read_noise"]
    parts = {
        "variables": variables(),
        "source_flags": bits(flags.SourceFlag),
        "frame_flags": bits(flags.RegistrationFlag),
        "aperture_flags": bits(flags.ApertureFlag),
        "times": times(),
        "attributes": ", ".join(f"`{name}`" for name in attributes),
    }
    return page("result", parts)


PAGES = {"configuration.md": configuration_page, "result.md": result_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        print(DOCS / name)
