"""The files that a result was measured from: found again beside its store, by a configuration there, or told by the user."""

import glob
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from tsogrid.config import Config
from tsogrid.config_file import load
from tsogrid.errors import TsogridError
from tsogrid.io.frames import open_frames

MOST_FOLDERS = 200  # that are looked into
MOST_CONFIGURATIONS = 20  # that are read


@dataclass(frozen=True)
class Found:
    """The frames behind a result.

    Parameters
    ----------
    frames : Dataset or None
        Opened; None if they are not there.
    config : Config or None
        The configuration, with the files that it names where they lie.
    said : str
        Which frames these are, or why there are none.
    """

    frames: xr.Dataset | None
    config: Config | None
    said: str


def find_frames(result: xr.Dataset, frames: Any = None) -> Found:
    """Find and open the frames of a result.

    Parameters
    ----------
    result : Dataset
        A result.
    frames : Dataset, path or list of paths, optional
        The frames, or where they are. If not given, files of the right names and sizes are looked for in the folder of the
        store and in the working folder, in the folders inside these, and in those that a configuration beside the store
        names.

    Returns
    -------
    Found
    """
    if "config" not in result.attrs:
        return Found(None, None, "the result does not hold its configuration")
    places = _folders(result)
    config = Config.from_mapping(json.loads(result.attrs["config"]), where="the result's configuration")
    config = _located(config, places)
    if isinstance(frames, xr.Dataset):
        return Found(frames, config, "the frames that were given")
    inputs = inputs_of(result)
    if frames is None:
        paths = _beside(inputs, places)
        lost = len(inputs) - len(paths)
        if not paths:
            where = "none of its files was found" if inputs else "it was not measured from files"
            return Found(None, config, f"{where}; give them: --frames FILES, or frames=[...]")
        said = (
            f"{len(paths)} of {len(inputs)} files of the run: the others were not found" if lost else "the files of the run"
        )
    else:
        paths = [
            str(each) for each in (frames if isinstance(frames, Sequence) and not isinstance(frames, str) else [frames])
        ]
        said = "the files that were given"
    try:
        opened = open_frames(config.observed.model_copy(update={"files": paths}))
    except (TsogridError, OSError) as error:
        return Found(None, config, str(error))
    known = {tuple(sorted(item.items())) for item in inputs}
    strange = [item["name"] for item in json.loads(opened.attrs["inputs"]) if tuple(sorted(item.items())) not in known]
    if inputs and strange:
        said += f"; not the ones that were measured (other name, size or header): {', '.join(strange[:3])}"
        said += " …" if len(strange) > 3 else ""
    return Found(opened, config, said)


def inputs_of(result: xr.Dataset) -> list[dict[str, Any]]:
    """List name, size and header hash of the files of a result; nothing for one that is not kept in a store."""
    return list(json.loads(result.attrs.get("identity", "{}")).get("inputs", []))


def _folders(result: xr.Dataset) -> list[Path]:
    """The folder of the store and the working folder, each with the folders in it; and those of configurations there."""
    source = result.encoding.get("source")
    roots = [*([Path(source).resolve().parent] if isinstance(source, str) else []), Path.cwd()]
    found: dict[Path, None] = {}
    for root in roots:
        found[root] = None
        try:
            inside = sorted(entry.path for entry in os.scandir(root) if entry.is_dir() and not entry.name.endswith(".zarr"))
        except OSError:
            continue
        found |= dict.fromkeys(Path(path) for path in inside[:MOST_FOLDERS])
        found |= dict.fromkeys(_named(root))
    return list(found)


def _named(root: Path) -> list[Path]:
    """Folders of the input files that configurations (also tshirt's parameters) in a folder name."""
    folders: list[Path] = []
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")])[:MOST_CONFIGURATIONS]:
        try:
            content = load(path)
        except TsogridError:  # some other file
            continue
        section = content.get("input")
        names = section.get("files") if isinstance(section, dict) else content.get("procFiles")
        for name in names if isinstance(names, list) else [names]:
            if isinstance(name, str):
                place = os.path.join(root, os.path.expanduser(name))
                places = [place] if os.path.isdir(place) else glob.glob(os.path.dirname(place))
                folders += [Path(each) for each in places[:MOST_FOLDERS]]
    return folders


def _beside(inputs: list[dict[str, Any]], folders: list[Path]) -> list[str]:
    """Paths of the input files, in their order; a file that is not found, or has another size, is left out."""
    wanted = {(item["name"], item.get("size")) for item in inputs}
    names = {name for name, _ in wanted}
    found: dict[tuple[str, Any], list[str]] = {}
    for folder in folders:
        try:
            entries = [entry for entry in os.scandir(folder) if entry.name in names and entry.is_file()]
            for entry in entries:
                found.setdefault((entry.name, entry.stat().st_size), []).append(entry.path)
        except OSError:
            continue
    paths = []
    for item in inputs:
        places = found.get((item["name"], item.get("size")), [])
        if places:
            paths.append(places.pop(0) if len(places) > 1 else places[0])
    return list(dict.fromkeys(paths))


def _located(config: Config, folders: list[Path]) -> Config:
    """Put folders before the names of calibration files and of the gain's image, where these are found."""

    def place(name: Any) -> Any:
        if not isinstance(name, str):
            return name
        return next((str(folder / name) for folder in folders if next(folder.glob(name), None) is not None), name)

    update: dict[str, Any] = {"mask": place(config.calibrate.mask)}
    for key in ("bias", "dark", "flat"):
        if (master := getattr(config.calibrate, key)) is not None:
            update[key] = master.model_copy(update={"files": [place(name) for name in master.files]})
    calibrate = config.calibrate.model_copy(update=update)
    return config.model_copy(
        update={"calibrate": calibrate, "input": config.input.model_copy(update={"gain": place(config.input.gain)})}
    )
