"""Names of stars and observatories: what is not known here is looked up once, where there is a network, and kept.

A star's name goes to the Sesame service of the CDS, an observatory's to the list of astropy; the answer is kept in the
user's cache (``$XDG_CACHE_HOME/tsogrid/names.json``), so that a run that goes on elsewhere or later needs no network, and
has the same answer.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tsogrid.ephemeris import Site
from tsogrid.errors import ConfigError
from tsogrid.io.sites import find_site, like

PATIENCE = 10.0  # seconds for an answer


def cache_path() -> Path:
    """Give the file in which answers are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "tsogrid" / "names.json"


def look_up_target(name: str) -> tuple[float, float]:
    """Give the position of a star by its name, ICRS degrees.

    Raises
    ------
    ConfigError
        Nobody could be asked, or nobody knows it.
    """

    def ask() -> Sequence[float]:
        from astropy.coordinates import SkyCoord

        found = SkyCoord.from_name(name).icrs
        return float(found.ra.deg), float(found.dec.deg)

    ra, dec = _kept("targets", name, ask, f"input.target: {name}", "{ra: …, dec: …} (ICRS; degrees, or h:m:s and d:m:s)")
    return ra, dec


def look_up_site(name: str) -> tuple[str, Site]:
    """Give an observatory by its name: one that is known here, else one of astropy's list.

    Raises
    ------
    ConfigError
        It is not known, or nobody could be asked.
    """
    found = find_site(name)
    if found is not None:
        return found

    def ask() -> Sequence[float]:
        from astropy.coordinates import EarthLocation

        place = EarthLocation.of_site(name).geodetic
        return float(place.lat.deg), float(place.lon.deg), float(place.height.to_value("m"))

    near = like(name)
    known = f" (known without a network, spelled like it: {', '.join(near)})" if near else ""
    instead = f"{{lat: …, lon: … (to the east), height: …}}{known}"
    lat, lon, height = _kept("sites", name, ask, f"input.site: {name}", instead)
    return name, Site(lat, lon, height)


def _kept(kind: str, name: str, ask: Callable[[], Sequence[float]], what: str, instead: str) -> list[float]:
    """Give the kept answer, or ask and keep it."""
    key = " ".join(name.lower().split())
    path = cache_path()
    content = _read(path)
    kept = content.get(kind, {}).get(key)
    if isinstance(kept, list) and all(isinstance(each, float) for each in kept):
        return kept
    from astropy.utils.data import conf

    try:
        with conf.set_temp("remote_timeout", PATIENCE):
            answer = [float(each) for each in ask()]
    except Exception as error:  # of the resolver, of the network, of the answer's format
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ConfigError(
            f"{what}: expected a name that can be looked up, but that gave: {reason}. Without a network give {instead}."
        ) from None
    content.setdefault(kind, {})[key] = answer
    with suppress(OSError):  # a cache that cannot be written costs another look-up
        _write(path, content)
    return answer


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(each, dict) for each in content.values()):
            return content
    return {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".names")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
    os.replace(beside, path)
