"""The sources of a run, one by one: what a catalogue or a detection stands for, written out as stars.

After this step a configuration holds stars alone, and these decide the numbers: they are part of a result's identity, so a
catalogue that has changed is a different run.
"""

from collections import Counter

import xarray as xr

from tsogrid.config import Catalogue, Config, Detect, Source
from tsogrid.errors import ConfigError
from tsogrid.field.catalogue import read_catalogue
from tsogrid.field.proposal import detected_sources


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
            listed += [Source(**row) for row in read_catalogue(entry) if row["name"] not in by_hand]
        elif isinstance(entry, Source):
            listed.append(entry)
    for entry in config.sources:  # last: they leave out what is listed already
        if isinstance(entry, Detect):
            listed += detected_sources(frames, entry.detect, listed)
    twice = sorted(name for name, count in Counter(star.name for star in listed).items() if count > 1)
    if twice:
        raise ConfigError(
            f"sources: expected different names, found {', '.join(twice[:5])} in more than one of its entries."
        )
    return config.model_copy(update={"sources": listed})
