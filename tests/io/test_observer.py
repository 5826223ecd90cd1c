"""Site and target, of the headers or the configuration: with their signs and units, and doubts where they contradict."""

import itertools
import json

import numpy as np
import pytest

from tsogrid.config import Config
from tsogrid.ephemeris import Site, airmass, altitudes, barycentric_times
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.io import names
from tsogrid.io.frames import open_frames
from tsogrid.io.sites import find_site, like

MID = 58107.065 + 30 / 86400
STAR = {"RA": "02:04:10.28", "DEC": "+46:41:16.2"}
RA, DEC = 31.042833333, 46.687833333
AMADO = Site(31.68, -110.88)
COUNT = itertools.count()
UT = {"DATE__OBS": "2017-12-20T01:33:36.000", "EXPTIME": 60.0}


def opened(frame, settings=None, **cards):
    path = frame(f"{next(COUNT)}.fits", **{**UT, **cards})
    return open_frames(path, **(settings or {}))


def is_seen_from(frames, site, ra=RA, dec=DEC, within=2e-3):
    assert frames["time"].attrs["scale"] == "tdb"
    wanted = barycentric_times(np.array([MID]), site, ra, dec)
    assert np.abs(frames["time"] - wanted).max() * 86400 < within
    np.testing.assert_array_equal(frames["bjd_tdb"], frames["time"])
    height = altitudes(np.array([MID]), site, ra, dec)
    np.testing.assert_allclose(frames["altitude"], height, rtol=0, atol=0.1)
    np.testing.assert_allclose(frames["airmass"], airmass(height), rtol=0.01)


@pytest.mark.parametrize(
    "cards",
    [
        {"SITELAT": 31.68, "SITELONG": -110.88},
        {"SITELAT": "31:40:48", "SITELONG": "-110:52:48"},
        {"SITELAT": "+31 40 48.0", "SITELONG": "-110 52 48"},
        {"SITELAT": "31d40m48s", "SITELONG": "-110d52m48s"},
        {"SITELAT": "31 40 48 N", "SITELONG": "110 52 48 W"},
        {"LATITUDE": 31.68, "LONGITUD": (110.88, "[deg] west positive")},
        {"LATITUDE": 31.68, "LONGITUD": (110.88, "degrees West")},
        {"LATITUDE": 31.68, "LONGITUD": (-110.88, "degrees (+E)")},
        {"LATITUDE": 31.68, "LONGITUD": (-110.88, "East is positive, west negative")},
        {"LATITUDE": 31.68, "LONGITUD": 249.12},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "OBSERVAT": "Whipple Observatory"},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "TELALT": 62.6},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "HA": 330.06},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "HA": -2.0},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "AIRMASS": 1.13},
        {"LATITUDE": 31.68, "LONGITUD": 110.88, "DATE-OBS": "2017-12-19T18:33:36.000-0700"},
        {"LAT-OBS": 31.68, "LONG-OBS": -110.88, "ALT-OBS": 0.0},
        {"OBSGEO-B": 31.68, "OBSGEO-L": -110.88, "OBSGEO-H": 0.0},
        {"OBSGEO-X": -1936243.6, "OBSGEO-Y": -5075878.5, "OBSGEO-Z": 3330735.7},
        {"TELESCOP": "FLWO"},
        {"ORIGIN": "Camera of the Whipple Observatory, Arizona"},
        {"LATITUDE": 0.0, "LONGITUD": 0.0, "TELESCOP": "FLWO"},
    ],
    ids=str,
)
def test_sites_of_headers(frame, cards):
    is_seen_from(opened(frame, **{**STAR, **cards}), AMADO)


def test_an_east_that_is_west_of_nothing(frame):
    """A positive longitude that nothing else settles is east, and is doubted with the numbers."""
    noon = {"RA": "14:04:10.28", "DEC": "+46:41:16.2"}  # up in both
    cards = {"LATITUDE": 60.0, "LONGITUD": 110.88, **noon}
    with pytest.warns(
        TsogridWarning, match=r"LONGITUD = 110\.88 does not say whether .* taken as east; in the west .* 0\.0\d+ s"
    ):
        frames = opened(frame, **cards)
    assert frames.attrs["site_longitude_deg"] == pytest.approx(110.88)


def test_the_star_is_up_where_the_telescope_stands(frame):
    frames = opened(frame, **STAR, LATITUDE=-20.0, LONGITUD=110.88)
    heights = [float(altitudes(np.array([MID]), Site(-20, lon), RA, DEC)[0]) for lon in (110.88, -110.88)]
    assert (heights[0] > 0) != (heights[1] > 0)
    assert (frames.attrs["site_longitude_deg"] > 0) == (heights[0] > 0)


@pytest.mark.parametrize(
    ("cards", "wanted"),
    [
        ({"RA": 31.042833, "DEC": 46.687833}, (RA, DEC)),
        ({"RA": "31.042833", "DEC": "46.687833"}, (RA, DEC)),
        ({"RA": (2.0695222, "hours"), "DEC": 46.687833}, (RA, DEC)),
        (
            {"RA": 2.0695222, "DEC": 46.7, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 31.0, "CRVAL2": 46.6},
            (RA, 46.7),
        ),
        ({"OBJCTRA": "02 04 10.28", "OBJCTDEC": "+46 41 16.2", "RA": 33.0, "DEC": 46.0}, (RA, DEC)),
        ({"RA": 31.316, "DEC": 46.7715, "EQUINOX": 2017.97}, (RA, DEC)),
        ({"RA": 5.5, "DEC": (46.687833, "deg")}, (5.5, DEC)),
        ({"RA": "bad", "DEC": 46.0, "TELRA": RA, "TELDEC": DEC}, (RA, DEC)),
    ],
    ids=str,
)
def test_targets_of_headers(frame, cards, wanted):
    frames = opened(frame, {"site": {"lat": AMADO.lat, "lon": AMADO.lon}}, **cards)
    is_seen_from(frames, AMADO, *wanted, within=0.1)
    np.testing.assert_allclose((frames.attrs["target_ra_deg"], frames.attrs["target_dec_deg"]), wanted, rtol=0, atol=2e-2)


def test_the_configuration_goes_before_the_headers(frame):
    cards = {"RA": 100.0, "DEC": 0.0, "SITELAT": 10.0, "SITELONG": 10.0}
    target = {"ra": "2:04:10.28", "dec": "46:41:16.2"}
    is_seen_from(opened(frame, {"site": {"lat": 31.68, "lon": 249.12}, "target": target}, **cards), AMADO)
    frames = opened(frame, {"site": "flwo", "target": target}, **cards)
    is_seen_from(frames, AMADO)
    assert frames.attrs["site_altitude_m"] == 2320
    assert "Whipple Observatory, configuration" in frames["time"].attrs["source"]
    for settings in ({"site": "none"}, {"target": "none"}):
        frames = opened(frame, settings, **STAR, SITELAT=31.68, SITELONG=-110.88)
        assert frames["time"].attrs["scale"] == "utc"
        assert "airmass" not in frames.coords


def test_half_of_what_is_needed(frame):
    assert opened(frame, **STAR)["time"].attrs["scale"] == "utc"
    with pytest.warns(TsogridWarning, match=r"input\.site is given, but no target is known: times stay JD_UTC"):
        assert opened(frame, {"site": "flwo"}).attrs["site_altitude_m"] == 2320
    with pytest.warns(TsogridWarning, match=r"input\.target is given, but no site is known"):
        opened(frame, {"target": {"ra": 1, "dec": 2}})


def test_pointings_that_are_no_one_target(frame):
    for index, ra in enumerate((30.0, 30.2, 35.0)):
        folder = frame(f"f{index}.fits", RA=ra, DEC=10.0, JD=2458000.9 + index, EXPTIME=0.0, TELESCOP="lick").parent
    with pytest.warns(TsogridWarning, match=r"RA, DEC\) point up to 4\.9 degrees apart: there is no one target"):
        assert open_frames(folder)["time"].attrs["scale"] == "utc"
    assert open_frames(folder, exclude=["f2*"])["time"].attrs["scale"] == "tdb"


def test_what_cannot_be_is_said(frame):
    local = {"DATE-OBS": "2017-12-19T18:33:36.000", "SITELAT": 31.68, "SITELONG": -110.88, **STAR}
    with pytest.warns(TsogridWarning, match=r"below the horizon in 1 of 1 frames \(altitude -?\d+ degrees.*time_offset"):
        opened(frame, **{**local, "RA": "6:40:00", "DEC": "0:0:1"})
    with pytest.warns(TsogridWarning, match=r"airmass is 1\.9 in the header and 1\.1\d by"):
        opened(frame, **STAR, SITELAT=31.68, SITELONG=-110.88, AIRMASS=1.9)
    is_seen_from(opened(frame, {"time_offset": -7}, **local), AMADO)


def test_the_times_of_every_star(tmp_path, frame):
    import tsogrid

    rng = np.random.default_rng(1)
    sky = [(31.0428, 46.6879), (31.5, 46.2)]
    for index in range(3):
        pixels = rng.normal(100, 3, (40, 40)).astype(np.float32)
        date = f"2017-12-20T0{index}:33:36.000"
        folder = frame(
            f"f{index}.fits", pixels, EXPTIME=60.0, DATE__OBS=date, SITELAT=31.68, SITELONG=-110.88,
            CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=31.25, CRVAL2=46.45, CRPIX1=20.0, CRPIX2=20.0,
            CDELT1=0.02, CDELT2=0.02,
        ).parent  # fmt: skip
    sources = [{"name": "a", "x": 20, "y": 20}]
    sources += [{"name": name, "ra": ra, "dec": dec} for name, (ra, dec) in zip("bc", sky, strict=True)]
    config = Config.from_mapping({
        "input": {"files": str(folder), "gain": 1.0, "read_noise": 5.0}, "sources": sources,
        "output": {"store": str(tmp_path / "a.zarr")},
        "center": {"method": "none", "position": "fixed"}, "sky": [{"method": "none"}], "cluster": {"kind": "none"},
    })  # fmt: skip
    result = tsogrid.run(config)
    assert result["bjd_tdb_source"].dims == ("time", "source")
    np.testing.assert_array_equal(result["bjd_tdb_source"].sel(source="b"), result["time"])
    assert np.isnan(result["bjd_tdb_source"].sel(source="a")).all()
    wanted = barycentric_times(result["mjd_utc"].to_numpy(), AMADO, *sky[1])
    np.testing.assert_array_equal(result["bjd_tdb_source"].sel(source="c"), wanted)
    assert "(sources)" in result["time"].attrs["source"]
    assert result.attrs["site_longitude_deg"] == -110.88
    assert json.loads(result.attrs["config"])["input"]["target"] is None
    noise = result.tso.noise("b", gain=1.0, read_noise=5.0, diameter=0.5, altitude=1268.0, exposure=60.0)
    scint = noise["scintillation"].to_numpy().reshape(3, -1)[:, 0]
    np.testing.assert_allclose(scint / scint[0], (result["airmass"] / result["airmass"][0]) ** 1.5)
    lazy = tsogrid.measure(folder, config)
    np.testing.assert_array_equal(lazy["bjd_tdb_source"], result["bjd_tdb_source"])


def test_names_without_a_network(frame, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def position(name, *_, **__):
        asked.append(name)
        if "HAT" not in name:
            raise OSError("no network is there")
        from astropy.coordinates import SkyCoord

        return SkyCoord(RA, DEC, unit="deg")

    monkeypatch.setattr("astropy.coordinates.SkyCoord.from_name", position)
    for _ in range(2):  # the second time the answer is kept
        is_seen_from(opened(frame, {"site": "flwo", "target": "HAT-P-32"}), AMADO)
    assert asked == ["HAT-P-32"]
    with pytest.raises(ConfigError, match=r"input\.target: WASP-1: .*no network is there\. Without a network give \{ra: "):
        opened(frame, {"site": "flwo", "target": "WASP-1"})
    names.cache_path().write_text("{ torn")
    is_seen_from(opened(frame, {"site": "flwo", "target": "HAT-P-32"}), AMADO)
    monkeypatch.setattr("astropy.coordinates.EarthLocation.of_site", position)
    with pytest.raises(ConfigError, match=r"input\.site: Whiple: .*\(known without a network, spelled like it: Whipple Obs"):
        opened(frame, {"site": "Whiple"})


def test_the_list_of_observatories():
    assert find_site("KITT PEAK")[1].height == 2120
    assert find_site("the int of it") is None
    assert find_site("node at McDonald Observatory", inside=True)[0] == "McDonald Observatory"
    assert like("Siding Sprung")[0] == "Siding Spring Observatory"


def test_a_real_night_without_any_help(shared):
    frames = open_frames(shared / "hatp32")
    is_west = frames.attrs["site_longitude_deg"]
    assert is_west == pytest.approx(-110.88)
    assert float(frames["altitude"][0]) == pytest.approx(62.592, abs=0.2)  # TELALT, half a minute later
    assert (np.diff(frames["time"]) > 0).all()


def test_real_headers_of_cubes_have_no_site(segment):
    frames = open_frames(segment(), site="flwo", target={"ra": 1.0, "dec": 2.0})
    assert "airmass" not in frames.coords
    assert "site_latitude_deg" not in frames.attrs
