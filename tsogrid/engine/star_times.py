"""The times of each star: light of two stars of one frame passes the barycentre up to 8.7 s apart for each degree."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid import schema
from tsogrid.config import Config
from tsogrid.ephemeris import Site, barycentric_times


def star_times(config: Config, frames: xr.Dataset) -> dict[str, Any]:
    """Give BJD_TDB at every source that is given by ra and dec.

    Parameters
    ----------
    config : Config
        Its sources.
    frames : Dataset
        Times and attributes of the frames; no pixels.

    Returns
    -------
    dict
        The coordinate ``bjd_tdb_source`` (time, source), NaN for sources that are given by pixels; empty where the site or
        the times are not known, or no source is given by ra and dec.
    """
    attributes = frames.attrs
    told = "site_latitude_deg" in attributes and "site_longitude_deg" in attributes and "bjd_tdb" in frames.coords
    sky = np.array([[source.ra, source.dec] for source in config.stars], np.float64).reshape(-1, 2)
    if not told or not np.isfinite(sky).any():
        return {}
    site = Site(
        float(attributes["site_latitude_deg"]),
        float(attributes["site_longitude_deg"]),
        float(attributes.get("site_altitude_m", np.nan)),
    )
    times = barycentric_times(frames["mjd_utc"].to_numpy(), site, sky[:, 0], sky[:, 1])
    return {"bjd_tdb_source": (("time", "source"), times, dict(schema.TIME_COORDINATES["bjd_tdb_source"]))}
