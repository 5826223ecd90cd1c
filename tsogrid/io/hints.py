"""What a header says for a first configuration: where the target is, and which keywords may hold gain and read noise.

Nothing here enters a measurement by itself: `tsogrid init` writes what it finds into a configuration, by the keyword's name.
"""

from dataclasses import dataclass

from tsogrid.io.cards import Cards, first_number
from tsogrid.io.fits import scan
from tsogrid.io.pointing import TARGETS, position

GAINS = ("EGAIN", "GAIN")  # EGAIN is electron per data unit; GAIN may also be a setting of the camera
READ_NOISES = ("RDNOISE", "READNOIS", "RON", "READNOISE")
SATURATIONS = ("SATURATE", "SATLEVEL", "MAXLIN")
MOST_GAIN = 20.0  # electron per data unit; beyond, the number is likely a setting of the camera


@dataclass(frozen=True)
class Hints:
    """What a header says; None where it does not.

    Parameters
    ----------
    target : (float, float) or None
        Right ascension and declination in degrees.
    target_keys : str
        The keywords that they come from.
    gain, read_noise : (str, float) or None
        Keyword and value.
    saturation : float or None
        Data units at which pixels are full.
    """

    target: tuple[float, float] | None = None
    target_keys: str = ""
    gain: tuple[str, float] | None = None
    read_noise: tuple[str, float] | None = None
    saturation: float | None = None


def header_hints(path: str) -> Hints:
    """Read the hints of one file.

    Parameters
    ----------
    path : str
        A FITS file that can be opened.

    Returns
    -------
    Hints
    """
    headers = [unit.header for unit in scan(path).units]
    target, keys = None, ""
    for ra_key, dec_key in TARGETS:
        target = position(headers, ra_key, dec_key)
        if target is not None:
            keys = f"{ra_key}, {dec_key}"
            break
    saturation = first_number(headers, *SATURATIONS)
    return Hints(
        target,
        keys,
        _keyword(headers, GAINS),
        _keyword(headers, READ_NOISES),
        None if saturation is None or not saturation > 0 else float(saturation),
    )


def _keyword(headers: list[Cards], keys: tuple[str, ...]) -> tuple[str, float] | None:
    for key in keys:
        found = first_number(headers, key)
        if found is not None and found > 0:
            return key, float(found)
    return None
