"""Observatories by name, without a network: where telescopes stand whose headers do not say it.

Positions are those of astropy's list (astropy-data, coordinates/sites.json, most of them from IRAF's) and of Las Cumbres
Observatory's pages of its sites, to a hundredth of a degree: a kilometre is 3 microseconds of light.
"""

import re
from functools import cache

from tsogrid.ephemeris import Site

# Names (the first is shown; later ones stand in headers, or are codes): latitude, longitude to the east, metres.
_TABLE = """
Anglo-Australian Observatory | aao | -31.277 149.066 1164
Apache Point Observatory | apo, apache point, arc 3.5m | 32.780 -105.820 2798
Beijing XingLong Observatory | bao, xinglong | 40.393 117.575 950
Black Moshannon Observatory | bmo | 40.922 -78.005 738
Calar Alto Observatory | caha, observatorio de calar alto, calar alto | 37.2236 -2.5461 2168
Canada-France-Hawaii Telescope | cfht | 19.8267 -155.4717 4215
Catalina Observatory | mtbigelow, mt. bigelow, kuiper | 32.4167 -110.7317 2510
Cerro Armazones Observatory | oca | -24.5987 -70.2013 2817
Cerro Pachon | gemini_south, gemini south, gemini-south, soar | -30.2407 -70.7367 2750
Cerro Tololo Interamerican Observatory | ctio, cerro tololo, lsc | -30.1653 -70.8150 2215
Cima Ekar | ekar, asiago | 45.8486 11.5811 1413
Dominion Astrophysical Observatory | dao | 48.5217 -123.4167 229
Haleakala Observatories | haleakala, ogg | 20.7155 -156.1690 3048
Indian Astronomical Observatory | iao, hanle | 32.7794 78.9642 4500
Infrared Telescope Facility | irtf, nasa irtf | 19.8262 -155.4720 4168
Javalambre Observatory | oaj | 40.0420 -1.0161 1956
Keck Observatory | keck, w. m. keck observatory, keck i, keck ii | 19.8283 -155.4783 4160
Kitt Peak National Observatory | kpno, kitt peak | 31.9633 -111.6000 2120
La Silla Observatory | lasilla, la silla, eso la silla | -29.2567 -70.7300 2347
Large Binocular Telescope | lbt, mount graham | 32.7016 -109.8719 2902
Las Campanas Observatory | lco, las campanas, magellan | -29.0033 -70.7017 2282
Lick Observatory | lick, nickel, nickel 1m, shane, mount hamilton | 37.3433 -121.6367 1290
Lowell Discovery Telescope | dct, ldt, discovery channel telescope, happy jack | 34.7443 -111.4225 2337
Lowell Observatory, Anderson Mesa | lowell, anderson mesa, perkins | 35.0967 -111.5350 2198
Lowell Observatory, Mars Hill | mars_hill, mars hill | 35.2029 -111.6648 2195
Manastash Ridge Observatory | mro | 46.9528 -120.7278 1198
McDonald Observatory | mcdonald, elp | 30.6717 -104.0217 2075
MDM Observatory | mdm | 31.9500 -111.6167 1938
MMT Observatory | mmt, multiple mirror telescope | 31.6883 -110.8850 2608
Mont Megantic Observatory | omm, observatoire du mont megantic | 45.4557 -71.1525 1108
Mount John Observatory | mjo, mt john, otehiwai, moa | -43.9857 170.4651 1029
Mount Stromlo Observatory | mso, mt. stromlo observatory | -35.3207 149.0243 767
Mount Wilson Observatory | mwo, mount wilson | 34.2226 -118.0617 1742
Observatoire de Haute-Provence | ohp, haute-provence, observatoire de haute provence | 43.9308 5.7133 650
Okayama Astrophysical Observatory | oao, okayama | 34.5771 133.5940 370
Palomar Observatory | palomar, hale telescope, p48, p60, p200 | 33.3560 -116.8630 1706
Paranal Observatory | paranal, cerro paranal, eso-paranal, vlt | -24.6274 -70.4050 2669
Roque de los Muchachos | lapalma, la palma, gtc, int, wht, not, tng, liverpool telescope | 28.7583 -17.8800 2327
Royal Observatory Greenwich | greenwich | 51.4778 -0.0015 46
San Pedro Martir | spm, oan-spm | 31.0292 -115.4869 2830
Siding Spring Observatory | sso, siding spring, coj | -31.2734 149.0612 1149
South African Astronomical Observatory | saao, sutherland, salt, cpt | -32.3758 20.8108 1798
Subaru Telescope | subaru | 19.8256 -155.4761 4139
Teide Observatory | teide, observatorio del teide, ot, tfn, izana | 28.3000 -16.5097 2390
Thai National Observatory | tno | 18.5906 98.4867 2457
TUBITAK National Observatory | tug | 36.8242 30.3356 2500
UKIRT | united kingdom infrared telescope | 19.8224 -155.4703 4199
Vainu Bappu Observatory | vbo | 12.5767 78.8266 725
Whipple Observatory | flwo, whipple, fred lawrence whipple observatory | 31.6809 -110.8775 2320
Wise Observatory | wise, tlv | 30.5974 34.7622 875
WIYN Observatory | wiyn, wiyn 3.5 m | 31.9581 -111.6006 2091
"""
_CODE = 4  # letters up to which a name is a code, and has to stand alone


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9.]+", text.lower()))


@cache
def _known() -> dict[str, tuple[str, Site]]:
    known = {}
    for line in _TABLE.strip().splitlines():
        shown, others, numbers = (part.strip() for part in line.split("|"))
        site = Site(*(float(number) for number in numbers.split()))
        for name in (shown, *others.split(",")):
            known[_words(name)] = (shown, site)
    return known


def find_site(name: str, inside: bool = False) -> tuple[str, Site] | None:
    """Find an observatory by its name.

    Parameters
    ----------
    name : str
        In capitals or not, with any punctuation.
    inside : bool
        Also take a long name that stands inside `name`, as headers have it (``LCOGT node at McDonald Observatory``).

    Returns
    -------
    (str, Site) or None
        The name that it goes by, and where it is.
    """
    words = _words(name)
    known = _known()
    if words in known or not inside:
        return known.get(words)
    for each in sorted(known, key=len, reverse=True):
        if len(each) > _CODE and f" {each} " in f" {words} ":
            return known[each]
    return None


def like(name: str) -> list[str]:
    """Give names of observatories that are spelled like `name`, the nearest first."""
    from difflib import get_close_matches

    near = get_close_matches(_words(name), list(_known()), 5, 0.6)
    return list(dict.fromkeys(_known()[each][0] for each in near))[:3]
