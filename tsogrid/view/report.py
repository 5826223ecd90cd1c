"""The report: everything there is to say of a result, in one HTML file that needs nothing else."""

import hashlib
import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

import tsogrid
from tsogrid.analysis.choice import best_cell, every_cell, score_curves
from tsogrid.analysis.failures import failures
from tsogrid.analysis.flag_table import flag_table
from tsogrid.analysis.select import require_result, roles_of, source_number
from tsogrid.analysis.stats import rows_of
from tsogrid.errors import TsogridError
from tsogrid.view.report_frames import Found, find_frames, inputs_of
from tsogrid.view.report_page import Markup, Section, code, facts, figure, folded, grid, heading, page, paragraph, table
from tsogrid.view.report_pictures import Picture, of_frames, of_target

MOST_TARGETS = 4  # with pictures of their own
MOST_FILES, MOST_ROWS = 300, 200  # in a table
CAMERA = (
    "telescope",
    "instrument",
    "detector",
    "channel",
    "filter",
    "pupil",
    "subarray",
    "target",
    "exposure_type",
    "readout",
)
PACKAGES = ("numpy", "xarray", "zarr", "numba", "astropy", "scipy", "matplotlib")


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Parameters
    ----------
    path : Path
        The file.
    missing : tuple of str
        Pictures that could not be drawn, each with the reason.
    """

    path: Path
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Target:
    """What the report says of a target: its best light curve or why there is none, rows of statistics, pictures."""

    name: str
    curve: xr.Dataset | TsogridError
    rows: list[dict[str, Any]]
    pictures: list[Picture]


def report(result: xr.Dataset, path: str | Path, frames: Any = None, time_reference: float | None = None) -> Written:
    """Write the report of a result.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.run` or `tsogrid.open_result`; also from `tsogrid.measure`.
    path : path-like
        The HTML file; replaced if it is there.
    frames : Dataset, path or list of paths, optional
        The frames, for the pictures that need them. If not given, the files of the run are looked for beside its store and
        in the working folder.
    time_reference : float, optional
        Days that the plots take off the times; the result's own if not given.

    Returns
    -------
    Written
        The file, and what is missing in it.

    Raises
    ------
    ConfigError
        It is no result.
    OSError
        The file cannot be written.
    """
    require_result(result)
    path = Path(path)
    if time_reference is not None:
        encoding, result = result.encoding, result.assign_attrs(time_reference=float(time_reference))
        result.encoding = encoding
    found = find_frames(result, frames)
    targets = [_look(result, source, number < MOST_TARGETS) for number, source in enumerate(_targets(result))]
    pixels = list(of_frames(result, found))
    sections = [
        Section("run", "Run", tuple(_run(result))),
        Section("lightcurves", "Light curves", tuple(_light_curves(targets))),
        Section("frames", "Frames", tuple(_frames(found, pixels))),
        Section("statistics", "Statistics", tuple(_statistics(targets))),
        Section("references", "Reference stars", tuple(_references(targets))),
        Section("flags", "Flags", tuple(_flags(result))),
        Section("failures", "Failures", tuple(_failures(result))),
        Section("configuration", "Configuration", tuple(_configuration(result))),
        Section("inputs", "Input files", tuple(_inputs(result))),
    ]
    name, title = _name(result), result.attrs.get("target")
    lead = f"Report of tsogrid {tsogrid.__version__}, written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    path.write_text(page(f"{name}: {title}" if title else name, lead, sections), encoding="utf-8")
    pictures = [picture for each in [*(target.pictures for target in targets), pixels] for picture in each]
    return Written(path, tuple(f"{each.name} ({each.caption})" for each in pictures if each.png is None))


def _name(result: xr.Dataset) -> str:
    source = result.encoding.get("source")
    return Path(source).name if isinstance(source, str) else "result"


def _targets(result: xr.Dataset) -> list[int]:
    return [number for number, role in enumerate(roles_of(result)) if role == "target"] or [0]


def _look(result: xr.Dataset, source: int, pictures: bool) -> _Target:
    """Take the light curves of a target once, and make all of them that the report needs."""
    name = str(result["source"].to_numpy()[source])
    try:
        default = source == source_number(result)[0]
        curves = every_cell(result, None if default else source).compute()
        scored = score_curves(curves)
        aperture, sky, reason = best_cell(scored)
    except TsogridError as error:
        return _Target(name, error, [], list(of_target(result, source)) if pictures else [])
    curve = curves.isel(aperture=aperture, sky=sky)
    curve.attrs = curves.attrs | {"choice": f"{curves.attrs['choice']}; {reason}"}
    drawn = list(of_target(result, source, curve, scored)) if pictures else []
    return _Target(name, curve, rows_of(result, curves, scores=scored), drawn)


def _run(result: xr.Dataset) -> list[Markup]:
    time = np.asarray(result["time"], float)
    unit, scale = result["time"].attrs.get("units"), str(result["time"].attrs.get("scale", "")).lower()
    identity = result.attrs.get("identity")
    layout = json.loads(result.attrs.get("layout", "{}"))
    standard = {"tdb": "BJD_TDB", "utc": "JD_UTC"}.get(scale, "JD")
    span = f"{standard} {time[0]:.6f} … {time[-1]:.6f} ({time[-1] - time[0]:.4g} d)" if unit == "d" else "unknown"
    step = f"{86400 * np.median(np.diff(time)):.4g} s" if unit == "d" and len(time) > 1 else None
    sources = [f"{name} ({role})" for name, role in zip(result["source"].to_numpy(), roles_of(result), strict=True)]
    shape = result.attrs.get("frame_shape")
    camera = ", ".join(f"{name.replace('_', ' ')} {result.attrs[name]}" for name in CAMERA if result.attrs.get(name))
    known = [(name, _version(name)) for name in PACKAGES]
    return [
        facts(
            [
                ("store", result.encoding.get("source") or "none: the result is not kept"),
                ("identity", hashlib.sha256(identity.encode()).hexdigest()[:16] if identity else None),
                ("measured by", f"tsogrid {result.attrs.get('tsogrid_version', 'unknown')}"),
                ("camera", camera),
                (
                    "frames",
                    f"{len(time)}" + (f" of {shape[0]} × {shape[1]} pixels (rows × columns)" if shape is not None else ""),
                ),
                ("times", span),
                ("median step", step),
                ("sources", ", ".join(sources[:20]) + (f" and {len(sources) - 20} more" if len(sources) > 20 else "")),
                ("apertures", ", ".join(str(label) for label in result["aperture"].to_numpy())),
                ("skies", ", ".join(str(label) for label in result["sky"].to_numpy())),
                ("unit of pixels", result.attrs.get("data_units")),
                ("layout", ", ".join(f"{key} {value}" for key, value in layout.items())),
                (
                    "this report by",
                    f"Python {platform.python_version()}, " + ", ".join(f"{name} {which}" for name, which in known),
                ),
            ]
        )
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def _light_curves(targets: list[_Target]) -> list[Markup]:
    parts = []
    for target in targets:
        parts += [heading(target.name), _said(target.curve)]
        if target.pictures:
            parts += _pictures(target.pictures)
    left = len(targets) - MOST_TARGETS
    if left > 0:
        parts.append(paragraph(f"Of {left} more targets there are no pictures here; the statistics below name all.", "note"))
    return parts


def _said(curve: xr.Dataset | TsogridError) -> Markup:
    if isinstance(curve, TsogridError):
        return paragraph(f"No light curve: {curve}", "note")
    return paragraph(str(curve.attrs.get("choice", "")))


def _pictures(pictures: list[Picture]) -> list[Markup]:
    parts = [grid(figure(each.png, f"{each.name}: {each.caption}", each.wide) for each in pictures if each.png is not None)]
    reasons: dict[str, list[str]] = {}
    for each in pictures:
        if each.png is None:
            reasons.setdefault(each.caption, []).append(each.name)
    return parts + [paragraph(f"{', '.join(names)}: {reason}", "note") for reason, names in reasons.items()]


def _frames(found: Found, pictures: list[Picture]) -> list[Markup]:
    return [*([paragraph(f"From {found.said}.")] if found.frames is not None else []), *_pictures(pictures)]


def _statistics(targets: list[_Target]) -> list[Markup]:
    rows = [row for target in targets for row in target.rows]
    if not rows:
        return [paragraph("There is no light curve.", "note")]
    binned = [name for name in rows[0] if name.startswith("binned_")]
    scatter = ["std", "mad", "point_to_point", "expected", *binned]
    small = all(not row["std"] > 1e-3 for row in rows)
    factor, unit = (1e6, "ppm") if small else (100.0, "%")
    words = {
        "std": "standard deviation",
        "mad": "1.4826 MAD",
        "point_to_point": "point to point",
        "expected": "median error",
    }
    head = ["source", "aperture", "sky", "relative", "points", "flagged"]
    head += [f"{words.get(name) or 'means of ' + name.removeprefix('binned_')} ({unit})" for name in scatter]
    lines = [
        [row[name] for name in head[:6]] + [factor * float(row[name]) for name in scatter] + [float(row["ratio"])]
        for row in rows
    ]
    text = "A row a target and sky, with the aperture that scatters least over it. Ratio: point to point over median error."
    return [paragraph(text), table([*head, "ratio"], lines)]


def _references(targets: list[_Target]) -> list[Markup]:
    parts = []
    for target in targets:
        curve = target.curve
        if not isinstance(curve, xr.Dataset) or "used" not in curve:
            continue
        if len(targets) > 1:
            parts.append(heading(target.name))
        rows = [
            [
                str(star["reference"].item()),
                bool(star["used"]),
                str(star["reason"].item()),
                100 * float(star["weight"]),
                int(star["rejected"]),
                100 * float(star["check_scatter"]),
                100 * float(star["check_expected"]),
                100 * float(star["check_trend"]),
                100 * float(star["check_trend_err"]),
            ]
            for star in (curve.isel(reference=index) for index in range(curve.sizes["reference"]))
        ]
        head = [
            "star",
            "used",
            "why not",
            "weight (%)",
            "rejected points",
            "scatter (%)",
            "expected (%)",
            "trend (%)",
            "± (%)",
        ]
        parts += [table(head, rows), paragraph(f"Rejection: {curve.attrs.get('rejection', '')}.")]
    if not parts:
        return [paragraph("None: the light curves are over their own median.")]
    text = "Each star over the others: its scatter beside what its errors promise, and its change from first to last frame."
    return [paragraph(text), *parts]


def _flags(result: xr.Dataset) -> list[Markup]:
    if not {"flags", "aperture_flags"} & set(result.data_vars):
        return [paragraph("The result has no flags.", "note")]
    counted = flag_table(result)
    if counted.empty:
        return [paragraph("No flag was raised.")]
    head = ["source", "aperture", "flag", "frames", "%", "meaning"]
    return _rows(counted, head, ["source", "aperture", "flag", "frames", "percent", "meaning"])


def _failures(result: xr.Dataset) -> list[Markup]:
    found = failures(result)
    if found.empty:
        return [paragraph("Every flux is finite.")]
    head = ["source", "frames", "which (from 0)", "apertures over skies without flux", "flags"]
    text = "Frames whose flux is NaN, with the flags that say why. No flag: not measured yet, or unknown to the flags."
    return [paragraph(text), *_rows(found, head, ["source", "frames", "which", "cells", "reasons"])]


def _rows(rows: pd.DataFrame, head: list[str], names: list[str]) -> list[Markup]:
    some = rows[names].head(MOST_ROWS)
    parts = [table(head, some.itertuples(index=False, name=None))]
    left = len(rows) - len(some)
    return [*parts, paragraph(f"{left} more rows are left out here.", "note")] if left else parts


def _configuration(result: xr.Dataset) -> list[Markup]:
    if "config" not in result.attrs:
        return [paragraph("The result does not hold its configuration.", "note")]
    content = _told(json.loads(result.attrs["config"]))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    said = "What decides the numbers, every default included; where files lie and how the work was cut is no part of it."
    return [paragraph(said), folded("YAML", code(text))]


def _told(content: Any) -> Any:
    """Leave out keys that are not set."""
    if isinstance(content, dict):
        return {key: _told(value) for key, value in content.items() if value is not None}
    return [_told(value) for value in content] if isinstance(content, list) else content


def _inputs(result: xr.Dataset) -> list[Markup]:
    inputs = inputs_of(result)
    if not inputs:
        return [paragraph("Not known: the result was not kept by a run, or does not come from files.")]
    rows = [[item["name"], int(item.get("size", 0)), str(item.get("hash", ""))] for item in inputs[:MOST_FILES]]
    parts = [folded(f"{len(inputs)} files", table(["name", "size (bytes)", "hash of the headers"], rows), len(inputs) <= 20)]
    left = len(inputs) - len(rows)
    return [*parts, paragraph(f"{left} more files are left out here.", "note")] if left else parts
