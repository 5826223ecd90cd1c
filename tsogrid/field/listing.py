"""The sources of a run, one by one: what a catalogue or a detection stands for, written out as stars.

After this step a configuration holds stars alone, and these decide the numbers: they are part of a result's identity, so a
catalogue that has changed is a different run.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import xarray as xr

from tsogrid.config import Catalogue, Config, Detect, Detection, Registration, Source
from tsogrid.errors import ConfigError
from tsogrid.field.catalogue import read_catalogue
from tsogrid.field.region_files import is_region_file, read_region_file

ENOUGH = 6  # stars of the reference frame from which frames are registered without being asked for


def are_single_images(frames: xr.Dataset) -> bool:
    """Whether frames are images of a night, each a file of its own."""
    return frames.attrs.get("reader") == "fits" and len(json.loads(frames.attrs.get("inputs", "[]"))) == frames.sizes["time"]


def with_listed_sources(config: Config, frames: xr.Dataset) -> Config:
    """Write out the stars of catalogues and detections.

    Parameters
    ----------
    config : Config
        The configuration.
    frames : Dataset
        From `tsogrid.open_frames`; the pixels of a few frames are read if stars are to be found on one.

    Returns
    -------
    Config
        The same configuration, its sources being stars alone; `config` itself if they are so already.

    Raises
    ------
    ConfigError
        A catalogue cannot be read, two stars have one name, or no star is found.
    """
    if len(config.stars) == len(config.sources):
        return config
    by_hand = {star.name for star in config.stars}
    listed: list[Source] = []
    for entry in config.sources:
        if isinstance(entry, Catalogue):  # a star that also stands by itself is taken as it stands there
            listed += [Source(**row) for row in _rows(entry, frames) if row["name"] not in by_hand]
        elif isinstance(entry, Source):
            listed.append(entry)
    for entry in config.sources:  # last: they leave out what is listed already
        if isinstance(entry, Detect):
            config = _with_reference(config, frames, entry.detect, listed)
            from tsogrid.field.proposal import detected_sources  # with scipy 15 MB, needed where stars are looked for

            listed += detected_sources(frames, _on_reference(entry.detect, config), listed)
    twice = sorted(name for name, count in Counter(star.name for star in listed).items() if count > 1)
    if twice:
        raise ConfigError(
            f"sources: expected different names, found {', '.join(twice[:5])} in more than one of its entries."
        )
    return config.model_copy(update={"sources": listed})


def _rows(catalogue: Catalogue, frames: xr.Dataset) -> list[dict[str, Any]]:
    """The stars of a catalogue, or of a file of AstroImageJ or ds9."""
    path = Path(catalogue.catalogue)
    if not is_region_file(path):
        return read_catalogue(catalogue)
    if catalogue.ra or catalogue.dec or catalogue.x or catalogue.y or catalogue.name:
        raise ConfigError(
            f"{path}: expected no names of columns (sources: catalogue): a file of apertures or regions has none."
        )
    rows = read_region_file(path, (frames.sizes["y"], frames.sizes["x"]))
    if catalogue.role == "reference":
        rows = [row | {"role": "reference"} for row in rows]
    if catalogue.only is None:
        return rows
    strangers = sorted(set(catalogue.only) - {str(row["name"]) for row in rows})
    if strangers:
        raise ConfigError(
            f"{path}: expected stars of this file in only (sources: catalogue), found {', '.join(strangers[:5])}."
        )
    return [row for row in rows if row["name"] in catalogue.only]


def _with_reference(config: Config, frames: xr.Dataset, settings: Detection, listed: list[Source]) -> Config:
    """Register frames to the one on which stars are found by their pixels: the first, if sources are given by theirs."""
    center = config.center
    if center.registration != "auto" or center.own_ways or config.calibrate.outliers or not are_single_images(frames):
        return config
    from tsogrid.field.proposal import find_on_frame  # with scipy 15 MB, needed where stars are looked for

    found = find_on_frame(frames, settings)
    by_pixel = [source.name for source in listed if source.x is not None]
    if found.wcs or (~found.stars.artefact).sum() < ENOUGH:
        return config
    if by_pixel and settings.reference_frame not in ("auto", 0, "0") and found.frame != 0:
        raise ConfigError(
            f"sources: detect.reference_frame: expected 0, on which the pixels of {by_pixel[0]} are meant, found "
            f"{settings.reference_frame}. Give them on that frame and say center.registration: {{frame: {found.frame}}}."
        )
    frame = 0 if by_pixel else found.frame
    return config.model_copy(update={"center": center.model_copy(update={"registration": Registration(frame=frame)})})


def _on_reference(settings: Detection, config: Config) -> Detection:
    """Look for stars on the frame to which frames are registered, where the user names that and no other."""
    registration = config.center.registration
    if settings.reference_frame != "auto" or not isinstance(registration, Registration):
        return settings
    return settings.model_copy(update={"reference_frame": registration.frame})
