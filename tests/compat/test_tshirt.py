"""Parameter files of tshirt: every parameter honoured or refused, every spelling, batches, and the way through YAML."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.compat.goldens import SMALL, small_cases
from tsogrid.compat.tshirt import convert, is_tshirt
from tsogrid.compat.tshirt_keys import ALIASES, PARAMETERS
from tsogrid.compat.tshirt_yaml import to_yaml
from tsogrid.config import Config, chain_label
from tsogrid.config_file import parse
from tsogrid.errors import ConfigError

LEAST = {"procFiles": "frames/*.fits", "refStarPos": [[20.0, 30.0]]}


@pytest.fixture
def run(tmp_path):
    """Convert parameters beside the least that there must be; gives the one run."""

    def made(**parameters):
        (one,) = convert({**LEAST, **parameters}, tmp_path / "night.yaml").runs
        return one

    return made


def value(run, key):
    """Give what a configuration holds under a dotted key."""
    found = run.content
    for step in key.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


# Parameters


def test_the_defaults_are_those_of_tshirt(run):
    config = run().config
    assert [label for aperture in config.apertures for label in aperture.labels] == ["r9"]
    assert [chain_label(chain) for chain in config.sky] == ["annulus9-12-mean"]
    assert (config.center.method, config.center.fit_box, config.center.position) == ("gaussian", 37, "frame")
    assert (config.center.predict, config.center.weights, config.center.angle) == ("none", "none", True)
    assert (config.input.units, config.input.gain, config.input.read_noise) == ("electron", 1.0, 1.0)
    assert (config.input.error, config.photometry.variance_weight) == ("none", "w")
    assert config.calibrate.dq == config.center.dq == []


RING = {"bkgGeometry": "CircularAnnulus", "backStart": 12, "backEnd": 18}
GRID = {"overlap": "subpixel", "subpixels": 32}  # what exact was for rectangles
BOX = {"bkgGeometry": "Rectangular", "backWidth": 40, "backHeight": 12}
HONOURED = [
    ({"excludeList": ["b.fits", "c.fits"]}, "input.exclude", ["b.fits", "c.fits"]),
    ({"excludeList": "b.fits"}, "input.exclude", ["b.fits"]),
    ({"FITSextension": 1}, "input.extension", 1),
    ({"FITSextension": "SCI"}, "input.extension", "SCI"),
    ({"HEADextension": "0"}, "input.header_extension", 0),
    ({"isCube": True, "cubePlane": 2}, "input.plane", 2),
    ({"detectorGain": 2.05}, "input.gain", 2.05),
    ({"readNoise": 13}, "input.read_noise", 13.0),
    ({"isSlope": True}, "input.integration_time", "INTTIME"),
    ({"isSlope": True, "itimeKeyword": "EXPTIME"}, "input.integration_time", "EXPTIME"),
    ({"isSlope": "True"}, "input.rate", True),
    ({}, "input.rate", False),
    ({"timingMethod": "JWSTint"}, "input.timing", "integration"),
    ({"timingMethod": "jwstseg"}, "input.timing", "segment"),
    ({"timineMethod": "intCounter"}, "input.timing", "counter"),
    ({"dateFormat": "One Part"}, "input.time_format", "date"),
    ({"dateFormat": "twoPart"}, "input.time_format", "date"),
    ({"dateFormat": "MJD", "dateKeyword": "MJD-OBS"}, "input.time_format", "mjd"),
    ({"dateFormat": "JD", "dateKeyword": "JD-OBS"}, "input.time_keyword", "JD-OBS"),
    ({"dateKeyword": "DATE_ISO"}, "input.time_keyword", "DATE_ISO"),
    ({}, "input.time_keyword", "DATE-OBS"),
    ({}, "input.time_stamp", "mid"),
    ({"skyPositions": [[200.1, -30.5]], "downselectImgWithCoord": True}, "input.containing", True),
    ({"skyPositions": [["13:20:24", "-30:30:00"]]}, "sources.0.ra", "13:20:24"),
    ({"refStarPos": [[1, 2], [3, 4]]}, "sources.1", {"name": "ref1", "x": 3.0, "y": 4.0, "role": "reference"}),
    ({"jdRef": 2457552}, "plot.time_reference", 2457552.0),
    ({"srcNameShort": "kic 12/557", "nightName": 20160612}, "output.store", "kic_12_557_20160612.zarr"),
    ({"nanTreatment": "zero"}, "calibrate.nan", "mask"),
    ({"nanTreatment": "leave"}, "calibrate.nan", "leave"),
    ({"nanTreatment": "value", "nanReplaceValue": 7}, "calibrate.nan", 7.0),
    ({"saturationVal": 4500.0}, "calibrate.saturation", {"level": 4500.0, "pixels": 5}),
    ({"saturationVal": 4500.0, "satNPix": 2}, "calibrate.saturation.pixels", 2),
    ({"apRadius": 8}, "apertures.0", {"shape": "circle", "radius": 8.0}),
    ({"srcGeometry": "Square", "apRadius": 8}, "apertures.0", {"shape": "rectangle", "width": 8.0, "height": 8.0, **GRID}),
    ({"srcGeometry": "rectangular", "apWidth": 15, "apHeight": 11}, "apertures.0.width", 15.0),
    ({"srcGeometry": "Rectangle", "apWidth": 15, "apHeight": 11}, "apertures.0.height", 11.0),
    ({"srcGeometry": "CircularAnnulus", "srcStart": 3, "srcEnd": 8}, "apertures.0.outer", 8.0),
    ({"subpixelMethod": "center"}, "apertures.0.overlap", "center"),
    ({"subpixelMethod": "Center"}, "sky.0.overlap", "center"),
    ({"bkgSub": False}, "sky.0", {"method": "none"}),
    ({"bkgMethod": "none"}, "sky.0", {"method": "none"}),
    ({"bkgMethod": "None"}, "sky.0", {"method": "none"}),
    (RING, "sky.0", {"method": "annulus", "inner": 12.0, "outer": 18.0, "statistic": "mean"}),
    ({**BOX, "bkgMethod": "Median"}, "sky.0", {"method": "rectangle", "width": 40.0, "height": 12.0, "statistic": "median"}),
    ({**BOX, "bkgGeometry": "Rectangle"}, "sky.0.method", "rectangle"),
    ({"bkgMethod": "robustMean"}, "sky.0.statistic", "robust-mean"),
    ({"bkgMethod": "robust_mean"}, "photometry.sky_error", "measured"),
    ({"backOffset": [5, -3]}, "sky.0.offset", [5.0, -3.0]),
    ({"bkgMethod": "colrow", "bkgOrderX": 0, "bkgOrderY": 2}, "sky.0.order_y", 2),
    ({"bkgMethod": "colrow", "bkgSubDirections": ["X"]}, "sky.0.directions", ["X"]),
    ({"bkgMethod": "colrow", "backsub_directions": ["x", "y"], **BOX}, "sky.0.width", 40.0),
    ({"bkgMethod": "rowamp", "backStart": 24}, "sky.0.mask_radius", 23.999999999),
    ({"bkgMethod": "rowAmp"}, "sky.0.fill", True),
    ({"boxFindSize": 9}, "center.fit_box", 19),
    ({"doCentering": False}, "center.position", "fixed"),
    ({"doCentering": False}, "center.method", "none"),
    ({"centroidMethod": "1D Gaussian"}, "center.method", "gaussian-1d"),
    ({"centroidMethod": "com"}, "center.method", "center-of-mass"),
    ({"centroidMethod": "Quadratic"}, "center.method", "quadratic"),
    ({"copyCentroidFile": "cen.fits"}, "center.position", "file"),
    ({"copyCentroidFile": "cen.fits"}, "center.position_file", "cen.fits"),
    ({"driftFile": "drift.csv"}, "center.drift.file", "drift.csv"),
    ({"refPhotCentering": "lw.fits"}, "center.drift", {"file": "lw.fits", "scale": 0.5, "source": 0}),
    ({"refPhotCentering": "lw.fits", "driftFile": "drift.csv"}, "center.position", "fixed"),
    ({"bkgMethod": "rowAmp", "diagnosticMode": True}, "output.diagnostics", [0]),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "key", "expected"), HONOURED)
def test_a_parameter_is_honoured(run, tmp_path, parameters, key, expected):
    made = run(**parameters)
    found = json.loads(json.dumps(value(made, key)).replace(f"{tmp_path}/", ""))
    assert found == expected
    made.config  # noqa: B018 (it is valid as a whole)


def test_every_parameter_is_here():
    """Each is honoured above or below, or known to decide nothing."""
    tested = {name for parameters, *_ in HONOURED for name in parameters} | LEAST.keys()
    tested |= {ALIASES.get(name, name) for name in tested}
    below = {"scaleAperture", "apScale", "apRange", "scaleBackground", "DATE-OBS", "readFromTshirtExamples", "srcName"}
    nothing = {"cornerSubarray", "srcNameFITSextension"}
    assert tested - ALIASES.keys() | below | nothing == PARAMETERS.keys()


SCALED = {"scaleAperture": True, "apScale": 2, "apRange": [2, 17], "apRadius": 8, "backStart": 12, "backEnd": 18}


def test_apertures_that_follow_the_width(run):
    scaled = {"factor": 2.0, "range": [2.0, 17.0], "reference_radius": 8.0}
    made = run(**SCALED)
    assert made.content["apertures"] == [{"shape": "circle", "scaled": scaled}]
    assert made.content["sky"][0]["scaled"] == scaled
    assert any("follows the aperture" in words for words in made.differences)
    assert run(**SCALED, scaleBackground=True).content["sky"][0]["scaled"] == scaled
    assert "scaled" not in run(**SCALED, scaleBackground=False).content["sky"][0]
    for more in ({"doCentering": False}, {"centroidMethod": "COM"}, {"copyCentroidFile": "cen.fits"}):
        assert run(**SCALED, **more).config.center.method == "gaussian"
    square = run(**SCALED, srcGeometry="Square").content["apertures"][0]
    assert square == {"shape": "rectangle", "width": 8.0, "height": 8.0, "scaled": scaled, **GRID}
    given = {name: each for name, each in SCALED.items() if name != "apRadius"}
    wide = run(**given, srcGeometry="Rectangular", apWidth=15, apHeight=11)
    assert wide.content["apertures"][0]["scaled"]["reference_radius"] == 7.5
    assert any("does nothing" in words for words in wide.differences)


def test_what_is_not_needed_is_said(run):
    made = run(srcName="WASP 62", apWidth=4, backWidth=3, cubePlane=1, satNPix=4, apScale=3, cornerSubarray=False)
    names = {words.partition(":")[0] for words in made.unneeded}
    assert names == {"srcName", "apWidth", "backWidth", "cubePlane", "satNPix", "apScale", "cornerSubarray"}
    assert not run(excludeList=None, driftFile="None", refPhotCentering=None).unneeded


def test_values_left_null_are_the_defaults(run):
    nulls = dict.fromkeys(name for name in PARAMETERS if name not in LEAST)
    assert run(**nulls).content == run().content


# Refusals

REFUSED = [
    ({"apRadus": 8}, ["apRadus", "did you mean apRadius?"]),
    ({"apradius": 8}, ["apradius", "did you mean apRadius?"]),
    ({"zzz": 8}, ["zzz", "not a parameter", "take it out"]),
    ({"apRadius": "wide"}, ["apRadius", "expected a number", "'wide'"]),
    ({"apRadius": -1}, ["apRadius", "above 0", "-1"]),
    ({"srcGeometry": "Triangle"}, ["srcGeometry", "Circular, CircularAnnulus, Square, Rectangular"]),
    ({"srcGeometry": "Rectangular"}, ["apWidth and apHeight", "found none"]),
    ({"srcGeometry": "CircularAnnulus", "srcStart": 8, "srcEnd": 3}, ["srcStart < srcEnd", "8 and 3"]),
    ({"bkgGeometry": "Rectangular", "backWidth": 3}, ["backHeight", "found none"]),
    ({"backStart": 18, "backEnd": 12}, ["backStart < backEnd", "18 and 12"]),
    ({"bkgMethod": "medain"}, ["bkgMethod", "did you mean median?"]),
    ({"bkgMethod": "rowAmp", "backStart": 0}, ["rowAmp", "backStart"]),
    ({"bkgOrderX": 9, "bkgMethod": "colrow"}, ["bkgOrderX", "from 0 to 5", "9"]),
    ({"backsub_directions": ["Z"]}, ["backsub_directions", "X and Y"]),
    ({"backsub_directions": ["X"], "bkgSubDirections": ["Y"]}, ["bkgSubDirections", "keep one"]),
    ({"bkgSubDirections": ["Y"], "backsub_directions": ["X"]}, ["backsub_directions: bkgSubDirections says", "keep one"]),
    ({"backOffset": [1, 2, 3]}, ["backOffset", "two numbers"]),
    ({"backOffset": 5}, ["backOffset", "two numbers"]),
    ({"apRange": [17, 2]}, ["apRange", "[least, largest]"]),
    ({"refStarPos": [750.7, 682.4]}, ["refStarPos", "[[x, y], …]"]),
    ({"refStarPos": [[1, 2, 3]]}, ["refStarPos", "pairs"]),
    ({"skyPositions": [["north", 3]]}, ["skyPositions", "degrees", "north"]),
    ({"doCentering": "maybe"}, ["doCentering", "True or False"]),
    ({"boxFindSize": 4.5}, ["boxFindSize", "whole number", "4.5"]),
    ({"timingMethod": "JWST"}, ["timingMethod", "JWSTint, JWSTseg, intCounter"]),
    ({"DATE-OBS": "2016-06-12"}, ["DATE-OBS", "dateKeyword"]),
    ({"readFromTshirtExamples": True}, ["readFromTshirtExamples", "procFiles"]),
    ({"downselectImgWithCoord": True}, ["downselectImgWithCoord", "skyPositions"]),
    ({"procFiles": None}, ["procFiles", "found none"]),
    ({"refStarPos": None}, ["refStarPos", "skyPositions", "neither"]),
    ({"apRadius": [7, 8], "backStart": [1, 2, 3]}, ["equally long", "apRadius 2", "backStart 3"]),
    ({"apRadius": []}, ["equally long", "apRadius 0"]),
    ({"apRadius": [7, "x"]}, ["run 2 of the batch", "apRadius", "'x'"]),
    ({"bkgSub": [True, True], "backEnd": [12, 8]}, ["run 2 of the batch", "backStart < backEnd"]),
]


@pytest.mark.parametrize(("parameters", "words"), REFUSED)
def test_a_refusal_names_the_parameter(run, parameters, words):
    with pytest.raises(ConfigError) as refusal:
        run(**parameters)
    message = str(refusal.value)
    assert "night.yaml" in message
    assert message.count(str(Path("night.yaml"))) == 1
    for word in words:
        assert word in message


def test_parameter_files_are_told_by_their_keys():
    assert all(is_tshirt(case.parameters) for case in small_cases())
    assert is_tshirt({"procFiles": "x", "inptu": 3})
    assert is_tshirt({"apRadius": 3, "timineMethod": "JWSTint"})
    for other in (
        {},
        [],
        None,
        "text",
        {"input": {"files": []}},
        {"input": {}, "procFiles": "x"},
        {"apRadius": 3},
        {"inptu": 3},
    ):
        assert not is_tshirt(other)


# Files


def test_the_first_header_is_looked_into(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for file in (SMALL / name).glob("*.fits"):
            shutil.copy(file, tmp_path / name)
    (ground,) = convert({"procFiles": "a/*.fits", "refStarPos": [[72, 96]]}, tmp_path / "p.yaml").runs
    assert ground.content["input"]["read_noise"] == "RDNOISE1"
    assert ground.content["input"]["files"] == [f"{tmp_path}/a/*.fits"]
    stripe = {"procFiles": "b/*.fits", "refStarPos": [[1001, 30]], "bkgMethod": "rowAmp"}
    (run,) = convert(stripe, tmp_path / "p.yaml").runs
    assert "amplifiers" not in run.content["sky"][0]  # NOUTPUTS says it
    assert any("RDNOISE1" in words for words in run.differences)
    (file,) = (tmp_path / "b").iterdir()
    fits.delval(file, "NOUTPUTS")
    (run,) = convert(stripe, tmp_path / "p.yaml").runs
    assert run.content["sky"][0]["amplifiers"] == [[0, 512], [512, 1024], [1024, 1536], [1536, 2048]]
    fits.PrimaryHDU(np.zeros((8, 9), "f4"), fits.Header({"DATE_OBS": "2020-01-01T00:00:00"})).writeto(tmp_path / "c.fits")
    (run,) = convert({"procFiles": "c.fits", "refStarPos": [[4, 4]]}, tmp_path / "p.yaml").runs
    assert run.content["input"]["time_keyword"] == "DATE_OBS"


def test_files_lie_beside_the_parameters_or_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "here" / "frames").mkdir(parents=True)
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "frames" / "a.fits").write_bytes(b"")
    monkeypatch.chdir(tmp_path / "here")
    (run,) = convert(LEAST, tmp_path / "there" / "p.yaml").runs
    assert run.content["input"]["files"] == [f"{tmp_path}/here/frames/*.fits"]
    assert any("working folder" in words for words in run.unneeded)
    (tmp_path / "there" / "frames").mkdir()
    (tmp_path / "there" / "frames" / "a.fits").write_bytes(b"")
    (run,) = convert(LEAST, tmp_path / "there" / "p.yaml").runs
    assert run.content["input"]["files"] == [f"{tmp_path}/there/frames/*.fits"]
    assert run.content["output"]["store"] == f"{tmp_path}/there/p.zarr"


# Batches


def test_a_batch_zips_its_lists():
    batch = {
        "procFiles": ["v1/*.fits", "v2/*.fits"],
        "refStarPos": [[[12, 73.5], [32, 73.5]], [[12, 74.5], [32, 74.5]]],
        "backOffset": [[0, 33], [0, -25]],
        "backsub_directions": [["X"], ["Y", "X"]],
        "excludeList": [None, ["bad.fits"]],
        "apRadius": [5, 6],
        "bkgMethod": "colrow",
        "nightName": ["v1", "v2"],
        "srcNameShort": "corot1",
    }
    first, second = convert(batch, "p.yaml").runs
    assert (first.content["sources"][0]["y"], second.content["sources"][0]["y"]) == (73.5, 74.5)
    assert (first.config.radii, second.config.radii) == ([5.0], [6.0])
    assert first.content["sky"][0]["directions"] == ["X"]
    assert second.content["sky"][0]["offset"] == [0.0, -25.0]
    assert "exclude" not in first.content["input"]
    assert second.content["input"]["exclude"] == ["bad.fits"]
    names = [Path(run.content["output"]["store"]).name for run in (first, second)]
    assert names == ["corot1_v1.zarr", "corot1_v2.zarr"]


def test_runs_of_one_name_do_not_share_a_store():
    runs = convert({**LEAST, "apRadius": [5, 6, 7], "nightName": ["a", "b", "a"], "srcNameShort": "s"}, "p.yaml").runs
    names = [Path(run.content["output"]["store"]).name for run in runs]
    assert names == ["s_a_1.zarr", "s_b.zarr", "s_a_2.zarr"]
    (alone,) = convert({**LEAST, "apRadius": [5]}, "p.yaml").runs
    assert Path(alone.content["output"]["store"]).name == "p.zarr"


# YAML


ROUND_TRIPS = [parameters for parameters, *_ in HONOURED]
ROUND_TRIPS += [SCALED, {"nightName": "12:30", "srcNameShort": "1e3"}, {"excludeList": ["1e3", "yes", "a: b", "#x"]}]


@pytest.mark.parametrize("folder", [None, ".", "elsewhere"])
def test_yaml_gives_the_same_configuration(run, tmp_path, folder):
    for parameters in ROUND_TRIPS:
        made = run(**parameters)
        base = None if folder is None else tmp_path / folder
        conversion = convert({**LEAST, **parameters}, tmp_path / "night.yaml")
        (text,) = to_yaml(conversion, base)
        path = (base or tmp_path) / "made.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        assert Config.from_yaml(path) == made.config
        for words in (*made.differences, *made.unneeded):
            assert words.split()[0] in text
        assert max(map(len, (line for line in text.splitlines() if line.startswith("# ") and " from " not in line))) <= 120
    assert not is_tshirt(parse(text, "made"))
