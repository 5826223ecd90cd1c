"""Where the headers say that the telescope stands: coordinates under many keywords, or the name of an observatory.

What no keyword's definition settles is the sign of the longitude: FITS and most cameras count to the east, IRAF and some
observatories to the west. So a longitude comes with the sense that its letters, its comment or the definition of its
keyword give it, or with none; `tsogrid.io.observer` then asks what else the header knows.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tsogrid.config.observer import angle
from tsogrid.ephemeris import Site
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.sites import find_site

# Latitude, longitude, heights; the first pair that can be read counts.
COORDINATES = (
    ("OBSGEO-B", "OBSGEO-L", ("OBSGEO-H",)),
    ("SITELAT", "SITELONG", ("SITEELEV", "SITEALT", "SITEHGT")),
    ("SITELAT", "SITELON", ("SITEELEV", "SITEALT", "SITEHGT")),
    ("SITE-LAT", "SITE-LON", ("SITE-ELV", "SITE-ALT")),
    ("LAT-OBS", "LONG-OBS", ("ALT-OBS", "ELEV-OBS")),
    ("LAT-OBS", "LON-OBS", ("ALT-OBS", "ELEV-OBS")),
    ("OBS-LAT", "OBS-LONG", ("OBS-ELEV", "OBS-ALT")),
    ("OBS-LAT", "OBS-LON", ("OBS-ELEV", "OBS-ALT")),
    ("OBSLAT", "OBSLONG", ("OBSELEV", "OBSALT")),
    ("OBSLAT", "OBSLON", ("OBSELEV", "OBSALT")),
    ("LATITUDE", "LONGITUD", ("HEIGHT", "ELEVATIO", "ELEVATION")),
    ("LATITUDE", "LONGITUDE", ("HEIGHT", "ELEVATIO", "ELEVATION")),
    ("ESO TEL GEOLAT", "ESO TEL GEOLON", ("ESO TEL GEOELEV",)),
    ("GEOLAT", "GEOLON", ("GEOELEV",)),
    ("GEO_LAT", "GEO_LONG", ("GEO_ELEV", "GEO_ALT")),
    ("TELLAT", "TELLONG", ("TELELEV",)),
    ("TEL-LAT", "TEL-LONG", ("TEL-ELEV",)),
    ("LAT", "LONG", ("ELEV",)),
    ("LAT", "LON", ("ELEV",)),
)
_EAST = {"OBSGEO-L", "ESO TEL GEOLON", "GEOLON"}  # to the east by their definition
NAMES = ("OBSERVAT", "SITENAME", "SITE", "SITEID", "OBSNAME", "TELESCOP", "ORIGIN")
_METRES = (-500.0, 10000.0)
_LETTER = re.compile(r"^([-+\d\s:.]*[\d.])\s*([EWNSewns])$")  # not the s of 31d40m48s
_FULL_TURN = 360.0


class Told(NamedTuple):
    """A place that a header tells: degrees, metres; the longitude as it stands, and +1 (east), −1 (west) or 0 (unsaid)."""

    lat: float
    lon: float
    height: float
    sense: int
    keys: str

    def site(self, sense: int) -> Site:
        """Give the place with its longitude counted to the east (+1) or to the west (−1)."""
        return Site(self.lat, (self.lon * sense + 180.0) % _FULL_TURN - 180.0, self.height)


def header_coordinates(headers: Sequence[Cards]) -> Told | None:
    """Read the coordinates of the telescope; None where the headers do not tell them.

    Parameters
    ----------
    headers : sequence of Cards
        The first that has a keyword counts.
    """
    centre = [first_number(headers, f"OBSGEO-{axis}") for axis in "XYZ"]
    if None not in centre and any(centre):
        return _geocentric([float(each or 0) for each in centre])
    for lat_key, lon_key, height_keys in COORDINATES:
        lat, lon = _signed(headers, lat_key), _signed(headers, lon_key)
        if lat is None or lon is None or not abs(lat[0]) <= 90 or not -180 <= lon[0] <= _FULL_TURN:
            continue
        if lat[0] == 0 and lon[0] == 0:  # never filled in
            continue
        height = first_number(headers, *height_keys)
        metres = float(height) if height is not None and _METRES[0] < height < _METRES[1] else float("nan")
        sense = 1 if lon_key in _EAST else lon[1] or _sense_of_comment(headers, lon_key, lon[0])
        return Told(lat[0] * (lat[1] or 1), lon[0], metres, sense, f"{lat_key}, {lon_key}")
    return None


def header_name(headers: Sequence[Cards]) -> tuple[str, Site, str] | None:
    """Find an observatory that the headers name: its name, its place, and the keyword; None if none of them is known."""
    for key in NAMES:
        value = first_value(headers, key)
        found = find_site(value, inside=True) if isinstance(value, str) else None
        if found is not None:
            return *found, key
    return None


def _geocentric(metres: list[float]) -> Told | None:
    from astropy import units
    from astropy.coordinates import EarthLocation

    place = EarthLocation.from_geocentric(*metres, unit=units.m).geodetic
    height = float(place.height.to_value("m"))
    if not _METRES[0] < height < _METRES[1]:
        return None
    return Told(float(place.lat.deg), float(place.lon.deg), height, 1, "OBSGEO-X, OBSGEO-Y, OBSGEO-Z")


def _signed(headers: Sequence[Cards], key: str) -> tuple[float, int] | None:
    """Read an angle, and the sign that a letter N, E (+1) or S, W (−1) gives it; 0 without one."""
    value = first_value(headers, key)
    if value is None or isinstance(value, bool):
        return None
    sense = 0
    if isinstance(value, str):
        letter = _LETTER.match(value.strip())
        if letter:
            value, sense = letter.group(1), 1 if letter.group(2).upper() in "NE" else -1
    try:
        return angle(value, hours=False), sense
    except ValueError:
        return None


def _sense_of_comment(headers: Sequence[Cards], key: str, value: float) -> int:
    """What the comment of a longitude says: ``+E``, ``East``, ``West positive`` …; 0 if it says nothing clear."""
    card = next(header.image(key) for header in headers if key in header)
    comment = card[9:].rpartition("/")[2].lower() if "/" in card[9:] else ""
    for sense, names in ((1, r"e(?:ast)?"), (-1, r"w(?:est)?")):
        if re.search(rf"\+\s*{names}\b|\b{names}\s*(?:is\s*)?(?:\+|positive|pos\b)|\bpositive\s+{names}\b", comment):
            return sense
        if re.search(rf"\b{names}\s*(?:is\s*)?(?:negative|neg\b|=?\s*-)|\bnegative\s+{names}\b", comment):
            return -sense
    east, west = "east" in comment, "west" in comment
    if east != west:
        # "West" beside a negative number names the hemisphere; beside a positive one the direction of counting.
        return 1 if east or value < 0 else -1
    return 0
