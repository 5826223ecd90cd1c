"""``tsogrid inspect``: what tsogrid sees in files, before anything is measured."""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsogrid.cli.configuration import configured, is_configuration, settings

if TYPE_CHECKING:
    import xarray as xr

    from tsogrid.config import Config, InputConfig

_CAMERA = ("instrument", "detector", "channel", "filter", "pupil", "subarray", "exposure_type")


def inspect(
    files: Annotated[
        list[str], typer.Argument(help="FITS files, folders, patterns, URLs; or one YAML file.", metavar="FILES|CONFIG")
    ],
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a key, as in input.storage.anon=true; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Say what is in files, reading no pixel.

    Frames, times, camera, units, where errors come from, and what tsogrid would warn of.
    """
    from tsogrid.config import Config
    from tsogrid.config_file import overridden
    from tsogrid.errors import ConfigError, TsogridWarning

    named = [name for name in files if is_configuration(name)]
    if named and len(files) > 1:
        raise ConfigError(f"inspect: expected frames or one configuration, found {', '.join(files[:3])} together.")
    configs = configured(Path(files[0]), (), given or ()) if named else []
    content = overridden({"input": {"files": files}}, settings(given or ()), Config)
    sources = [config.observed for config in configs] or [Config.from_mapping(content, where="inspect").observed]
    found = [_inspected(source) for source in sources]
    for content, config in zip(found, configs, strict=False):
        content["calibration"] = _calibration(config, content["sections"], content["shape"])
    if as_json:
        typer.echo(json.dumps(found[0] if len(found) == 1 else found, indent=1, allow_nan=False))
        return
    for number, content in enumerate(found, 1):
        if len(found) > 1:
            typer.echo(f"run {number} of {len(found)}")
        for note in content["warnings"]:
            warnings.warn(note, TsogridWarning, stacklevel=2)
        typer.echo("\n".join(in_lines(content)))


def _inspected(source: "InputConfig") -> dict[str, Any]:
    from tsogrid import open_frames
    from tsogrid.errors import TsogridWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TsogridWarning)
        frames = open_frames(source)
    return contents(frames, source, [str(each.message) for each in caught if issubclass(each.category, TsogridWarning)])


def _calibration(config: "Config", sections: str, shape: list[int]) -> list[str]:
    """Say which calibration a configuration asks for; no master is made."""
    from tsogrid.engine.calibration_words import announced

    return announced(config, sections, (shape[0], shape[1]))


def contents(frames: "xr.Dataset", source: "InputConfig", notes: list[str]) -> dict[str, Any]:
    """Collect what is known of frames, in plain types.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`.
    source : InputConfig
        How they were opened.
    notes : list of str
        What opening them warned of.

    Returns
    -------
    dict
    """
    time, attributes = frames["time"], frames.attrs
    known = {
        "units": "1",
        **{key: time.attrs[key] for key in ("units", "scale", "format", "time_origin", "source") if key in time.attrs},
    }
    first, last = (float(value) for value in time.to_numpy()[[0, -1]])
    names = list(dict.fromkeys(str(name) for name in frames["file"].to_numpy())) if "file" in frames.coords else []
    return {
        "files": names,
        "frames": frames.sizes["time"],
        "shape": [frames.sizes["y"], frames.sizes["x"]],
        "dtype": str(frames["data"].dtype),
        "time": {"first": first, "last": last, **known},
        "camera": {key: attributes[key] for key in _CAMERA if key in attributes},
        "target": attributes.get("target"),
        "site": attributes.get("site"),
        "units": attributes.get("units"),
        "error": _error_source(frames, source),
        "data_quality": "dq" in frames,
        "gain": attributes.get("gain", attributes.get("gain_file")),
        "read_noise": attributes.get("read_noise"),
        "amplifiers": attributes.get("amplifiers"),
        "reference_pixel": [attributes["x_ref"], attributes["y_ref"]] if {"x_ref", "y_ref"} <= attributes.keys() else None,
        "wcs": "wcs" in attributes,
        "integration_time": attributes.get("integration_time_s"),
        "reader": attributes.get("reader"),
        "sections": attributes.get("sections", ""),
        "calibration": [],
        "warnings": notes,
    }


def _error_source(frames: "xr.Dataset", source: "InputConfig") -> str | None:
    """Say where the errors of pixels come from."""
    from tsogrid.io.files import resolve
    from tsogrid.io.fits import scan

    if "error" in frames:
        first = scan(resolve(source.files, source.exclude, source.storage)[0], source.storage)
        both = first.find("VAR_POISSON") is not None and first.find("VAR_RNOISE") is not None
        jwst = frames.attrs.get("reader") == "jwst"
        return "sqrt(VAR_POISSON + VAR_RNOISE)" if source.error == "auto" and both and jwst else "ERR"
    if {"gain", "gain_file"} & frames.attrs.keys():
        return "gain and read noise"
    return None


def in_lines(content: dict[str, Any]) -> list[str]:
    """Lay `contents` out for the eye."""
    names, time = content["files"], content["time"]
    ny, nx = content["shape"]
    shown = ", ".join(names[:3]) + (f" … {names[-1]}" if len(names) > 3 else "")
    if time["units"] == "d":
        standard = f"{time.get('format', 'jd').upper()} in {time.get('scale', '?').upper()}"
        when = f"{time['first']:.6f} … {time['last']:.6f} d, {standard}"
        when += f" ({time['time_origin']})" if time.get("time_origin") else ""
    else:
        when = f"unknown: frames are numbered {time['first']:g} … {time['last']:g}"
    error = content["error"] or "unknown: errors of fluxes will be NaN (set input.gain and input.read_noise)"
    reference = content["reference_pixel"]
    amplifiers = content["amplifiers"]
    columns = (
        ", ".join(f"{a} … {b - 1}" for a, b in zip(amplifiers[::2], amplifiers[1::2], strict=True)) if amplifiers else None
    )
    rows = [
        ("files", f"{len(names)}: {shown}" if names else None),
        ("frames", f"{content['frames']} of {ny} × {nx} pixels (y × x), {content['dtype']}"),
        ("times", when),
        ("told by", time.get("source")),
        ("site", content["site"]),
        ("exposure", f"{content['integration_time']:g} s" if content["integration_time"] else None),
        ("camera", ", ".join(f"{value}" for value in content["camera"].values()) or None),
        ("target", content["target"]),
        ("units", content["units"] or "not given"),
        ("errors", error),
        ("quality", "DQ plane" if content["data_quality"] else "no DQ plane"),
        ("gain", content["gain"]),
        ("amplifiers", f"columns {columns}" if columns else None),
        ("reference", f"x = {reference[0]:g}, y = {reference[1]:g} (0-based pixels)" if reference else None),
        *(("calibrate", line) for line in content["calibration"]),
        ("wcs", "yes" if content["wcs"] else "none: sources by x, y only"),
        ("reader", content["reader"]),
    ]
    return [f"{name:<10} {text}" for name, text in rows if text is not None]
