"""tshirt's photometry parameter files: each becomes one configuration, or as many as its batch has runs.

Every parameter is honoured or refused with a reason. What comes out differently than in tshirt, and why, is noted beside
the configuration, and so is what was not needed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsogrid.compat import tshirt_parts
from tsogrid.compat.tshirt_draft import Draft, first_frames
from tsogrid.compat.tshirt_keys import Parameters, is_tshirt, read_parameters
from tsogrid.config import Config
from tsogrid.errors import ConfigError

__all__ = ["Conversion", "Run", "convert", "is_tshirt"]

TIMING = {"JWSTint": "integration", "JWSTseg": "segment", "intCounter": "counter"}
TIME_FORMATS = {"Two Part": "date", "One Part": "date", "MJD": "mjd", "JD": "jd"}
DATE_KEYWORDS = ("DATE-OBS", "DATE_OBS")
READ_NOISE_KEYWORD, NO_READ_NOISE = "RDNOISE1", 1.0


@dataclass(frozen=True)
class Run:
    """One run of a parameter file.

    Parameters
    ----------
    content : dict
        What `tsogrid.Config.from_mapping` takes; paths are absolute.
    comments : dict
        Dotted key of `content` → the parameters it comes from.
    differences : tuple of str
        What is not as tshirt has it, and why; and what a user of tshirt should know.
    unneeded : tuple of str
        Parameters that have nothing to say, and why.
    where : str
        The parameter file, with the number of the run in a batch.
    """

    content: dict[str, Any]
    comments: dict[str, str]
    differences: tuple[str, ...]
    unneeded: tuple[str, ...]
    where: str

    @property
    def config(self) -> Config:
        """The configuration."""
        return Config.from_mapping(self.content, where=self.where)


@dataclass(frozen=True)
class Conversion:
    """A parameter file as configurations; several where it is a batch."""

    where: str
    runs: tuple[Run, ...]

    @property
    def differences(self) -> list[str]:
        """The differences of all runs, each once."""
        return list(dict.fromkeys(words for run in self.runs for words in run.differences))


def convert(parameters: dict[str, Any], where: str | Path) -> Conversion:
    """Turn a parameter file into configurations.

    Parameters
    ----------
    parameters : dict
        The file, as YAML reads it.
    where : path-like
        The file: its folder is where paths begin, and it is named in errors.

    Returns
    -------
    Conversion

    Raises
    ------
    ConfigError
        A parameter is unknown, has a wrong value, or asks for what is not there; the message names it.
    """
    where = Path(where)
    complete = read_parameters(parameters, str(where))
    names = _store_names(complete, where)
    runs = []
    for index, (one, name) in enumerate(zip(complete, names, strict=True)):
        here = str(where) if len(complete) == 1 else f"{where}, run {index + 1} of the batch"
        runs.append(_converted(one, where, here, name))
    return Conversion(str(where), tuple(runs))


def _converted(parameters: Parameters, where: Path, here: str, store: str) -> Run:
    draft = Draft(parameters, where.resolve().parent)
    try:
        _input(draft)
        _sources(draft)
        tshirt_parts.calibrate(draft)
        tshirt_parts.center(draft)
        reference = tshirt_parts.apertures(draft)
        tshirt_parts.sky(draft, reference)
        tshirt_parts.photometry(draft)
        _output(draft, store)
    except ConfigError as error:
        raise ConfigError(f"{here}: {error}") from None
    run = Run(draft.content, draft.comments, tuple(draft.differences), tuple(draft.unneeded), here)
    assert run.config  # checked whole, here and not when it is run
    return run


def _input(draft: Draft) -> None:
    parameters = draft.parameters
    if parameters["procFiles"] is None:
        raise ConfigError("procFiles: expected the files, such as data/*.fits, found none.")
    if parameters["readFromTshirtExamples"]:
        raise ConfigError(
            "readFromTshirtExamples: True means files inside tshirt's own package, which is not here. "
            "Give their path as procFiles, and take this out."
        )
    draft.skip("readFromTshirtExamples", "the files are those of procFiles")
    files, excluded = draft.path("procFiles"), parameters["excludeList"] or []
    image, header = parameters["FITSextension"], parameters["HEADextension"]
    draft.frames = first_frames(files, excluded, image, header)
    draft.put("input.files", [files], "procFiles; frames are put in the order of their times, not of their names")
    draft.put("input.reader", "fits", "one frame a file, whatever the camera")
    draft.put("input.extension", image, "FITSextension")
    draft.put("input.header_extension", header, "HEADextension")
    if excluded:
        draft.put("input.exclude", excluded, "excludeList")
    if parameters["isCube"]:
        draft.put("input.plane", parameters["cubePlane"], "isCube, cubePlane")
    else:
        draft.skip("cubePlane", "not used without isCube")
    _units(draft)
    _times(draft)
    if parameters["downselectImgWithCoord"]:
        if parameters["skyPositions"] is None:
            raise ConfigError("downselectImgWithCoord: True needs skyPositions, found none. Give them, or take it out.")
        draft.put("input.containing", True, "downselectImgWithCoord")
    draft.skip("cornerSubarray", "it decides nothing in tshirt's photometry")
    draft.skip("srcNameFITSextension", "a slip in tshirt's own list of defaults; it decides nothing")


def _units(draft: Draft) -> None:
    """Put how pixels become electrons, and their noise."""
    parameters, slope = draft.parameters, draft.parameters["isSlope"]
    gain = parameters["detectorGain"]
    draft.put("input.error", "none", "tshirt takes errors from the pixels and the read noise alone")
    draft.put("input.units", "electron", "tshirt takes pixels, times detectorGain, as electrons")
    draft.put("input.gain", gain or 1.0, "detectorGain" if gain else "no detectorGain: a data unit counts as an electron")
    draft.put("input.rate", slope, "isSlope")
    if slope:
        draft.put("input.integration_time", parameters["itimeKeyword"], "itimeKeyword")
    else:
        draft.skip("itimeKeyword", "not used without isSlope")
    if parameters["readNoise"] is not None:
        draft.put("input.read_noise", parameters["readNoise"], "readNoise, electrons")
    elif isinstance(draft.frames.value(READ_NOISE_KEYWORD), int | float):
        draft.put("input.read_noise", READ_NOISE_KEYWORD, "no readNoise: the header's, as in tshirt")
    else:
        draft.put("input.read_noise", NO_READ_NOISE, "no readNoise, and no RDNOISE1 seen in a header: as in tshirt")
        if draft.frames.headers:
            draft.differs("no readNoise is given and no header holds RDNOISE1: 1 electron is assumed, as tshirt does")


def _times(draft: Draft) -> None:
    parameters = draft.parameters
    if parameters["DATE-OBS"] is not None:
        raise ConfigError(
            f"DATE-OBS: {parameters['DATE-OBS']} would be the date of frames whose header has none; one date for all frames "
            "is no time axis. Write the date into the headers, or name the keyword that holds it: dateKeyword."
        )
    keyword = parameters["dateKeyword"]
    if keyword is None or "dateKeyword" not in parameters.given:
        known = [key for key in DATE_KEYWORDS if draft.frames.value(key) is not None]
        keyword = known[0] if known else DATE_KEYWORDS[0]
    draft.put("input.time_keyword", keyword, "dateKeyword")
    comment = "dateFormat" + (" Two Part: the time of day is TIME-OBS" if parameters["dateFormat"] == "Two Part" else "")
    draft.put("input.time_format", TIME_FORMATS[parameters["dateFormat"]], comment)
    timing = parameters["timingMethod"]
    if timing is not None:
        draft.put("input.timing", TIMING[timing], f"timingMethod {timing}")
        if timing == "intCounter":
            draft.differs("timingMethod intCounter gives each integration a minute, as in tshirt: it only counts them")
    else:
        draft.put("input.time_stamp", "mid", "the header's time as it stands; start gives the middle of exposures")
        draft.differs(
            "times are the header's own, as in tshirt: the start of the exposure, where the header means that (DATE-OBS "
            "does). `--set input.time_stamp=start` gives the middle"
        )


def _sources(draft: Draft) -> None:
    parameters = draft.parameters
    pixels, sky = parameters["refStarPos"], parameters["skyPositions"]
    if pixels is None and sky is None:
        raise ConfigError("expected refStarPos: [[x, y], …] or skyPositions: [[ra, dec], …], found neither.")
    keys, positions, name = ("ra", "dec"), sky, "skyPositions"
    if sky is None:
        keys, positions, name = ("x", "y"), pixels, "refStarPos"
    else:
        draft.skip("refStarPos", "skyPositions say where the stars are")
    entries = []
    for index, position in enumerate(positions):
        known = {"name": f"ref{index}", "role": "reference"} if index else {"name": "target", "role": "target"}
        entries.append({"name": known["name"], **dict(zip(keys, position, strict=True)), "role": known["role"]})
    draft.put("sources", entries, f"{name}: the first is the target")


def _output(draft: Draft, store: str) -> None:
    parameters = draft.parameters
    draft.put("output.store", str(draft.folder / store), "srcNameShort, nightName")
    draft.skip("srcName", "a title; the store is named by srcNameShort and nightName")
    if parameters["diagnosticMode"]:
        if draft.content["sky"][0]["method"] in ("colrow", "rowamp"):
            shown = sorted({0, draft.frames.count // 2})
            draft.put("output.diagnostics", shown, "diagnosticMode: frames before and after the background's model")
        else:
            draft.skip("diagnosticMode", "this background has no model of the frame that could be shown")
    if parameters["jdRef"] is not None:
        draft.put("plot.time_reference", parameters["jdRef"], "jdRef")


def _store_names(runs: list[Parameters], where: Path) -> list[str]:
    """Name the store of each run as tshirt names its files; runs of one name are numbered, none shares a store."""
    stems = []
    for parameters in runs:
        words = [parameters["srcNameShort"] or parameters["srcName"], parameters["nightName"]]
        stem = "_".join(word for word in words if word) or where.stem
        stems.append(re.sub(r"[^\w.+-]+", "_", stem).strip("._") or "tshirt")
    return [
        f"{stem}_{stems[: index + 1].count(stem)}.zarr" if stems.count(stem) > 1 else f"{stem}.zarr"
        for index, stem in enumerate(stems)
    ]
