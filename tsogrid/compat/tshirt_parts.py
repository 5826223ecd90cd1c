"""What tshirt's parameters say of apertures, skies, centres and bad pixels, in the words of a configuration."""

from typing import Any

from tsogrid.compat.tshirt_draft import Draft
from tsogrid.errors import ConfigError

STATISTICS = {"mean": "mean", "median": "median", "robust mean": "robust-mean"}
METHODS = {
    "2D Gaussian": "gaussian",
    "1D Gaussian": "gaussian-1d",
    "COM": "center-of-mass",
    "quadratic": "quadratic",
}
SW_FROM_LW = 0.5  # pixels of the short-wave camera in one of the other camera's shifts, as tshirt has it
STRIPE_COLUMNS, STRIPE_AMPLIFIERS = 2048, 4
JUST_INSIDE = 1e-9  # pixels: tshirt hides what is nearer than backStart, mask_radius also what is as far


def _needed(draft: Draft, why: str, *names: str) -> None:
    missing = [name for name in names if draft.parameters[name] is None]
    if missing:
        raise ConfigError(f"{why} needs {' and '.join(missing)}, found none. Give the number of pixels.")


def _ordered(draft: Draft, low: str, high: str) -> None:
    if draft.parameters[low] >= draft.parameters[high]:
        raise ConfigError(
            f"expected {low} < {high}, found {draft.parameters[low]:g} and {draft.parameters[high]:g}. Mend one of them."
        )


def _overlap(method: str, rectangle: bool) -> dict[str, Any]:
    """How pixels on the border count; tshirt's exact rectangles are photutils' up to 3.0, of 32 subpixels on a side."""
    if method == "exact":
        return {"overlap": "subpixel", "subpixels": 32} if rectangle else {}
    return {"overlap": method}


def apertures(draft: Draft) -> float:
    """Put the source aperture.

    Parameters
    ----------
    draft : Draft
        The configuration in the making.

    Returns
    -------
    float
        The radius for which the sizes hold, where they follow the width of the stars.

    Raises
    ------
    ConfigError
        A size is missing, or sizes contradict each other.
    """
    parameters = draft.parameters
    geometry, method = parameters["srcGeometry"], parameters["subpixelMethod"]
    entry: dict[str, Any]
    if geometry == "Circular":
        entry, reference = {"shape": "circle", "radius": parameters["apRadius"]}, parameters["apRadius"]
        used = ["apRadius"]
    elif geometry == "CircularAnnulus":
        _needed(draft, "srcGeometry: CircularAnnulus", "srcStart", "srcEnd")
        _ordered(draft, "srcStart", "srcEnd")
        entry = {"shape": "annulus", "inner": parameters["srcStart"], "outer": parameters["srcEnd"]}
        reference, used = parameters["srcEnd"], ["srcStart", "srcEnd"]
    elif geometry == "Square":
        side = parameters["apRadius"]
        entry, reference = {"shape": "rectangle", "width": side, "height": side}, side
        used = ["apRadius"]
    else:
        _needed(draft, "srcGeometry: Rectangular", "apWidth", "apHeight")
        width, height = parameters["apWidth"], parameters["apHeight"]
        entry, reference = {"shape": "rectangle", "width": width, "height": height}, max(width, height) / 2
        used = ["apWidth", "apHeight"]
    scaled = parameters["scaleAperture"]
    if scaled:
        if "apRadius" in parameters.given:
            reference, used = parameters["apRadius"], [*used, "apRadius"]
        entry.pop("radius", None)
        entry["scaled"] = {"factor": parameters["apScale"], "range": parameters["apRange"], "reference_radius": reference}
        used += ["scaleAperture", "apScale", "apRange"]
        if geometry != "Circular":
            draft.differs(
                f"the {geometry} aperture follows the width of the stars; in tshirt scaleAperture does nothing to it"
            )
    entry |= _overlap(method, rectangle=entry["shape"] == "rectangle")
    draft.put("apertures", [entry], f"srcGeometry {geometry}: {', '.join(dict.fromkeys([*used, 'subpixelMethod']))}")
    for name in ("apRadius", "apWidth", "apHeight", "srcStart", "srcEnd"):
        if name not in used:
            draft.skip(name, f"not used with srcGeometry: {geometry}")
    if not scaled:
        for name in ("apScale", "apRange", "scaleBackground"):
            draft.skip(name, "not used without scaleAperture")
    return float(reference)


def sky(draft: Draft, reference: float) -> None:
    """Put the sky.

    Parameters
    ----------
    draft : Draft
        The configuration in the making.
    reference : float
        The radius of the aperture for which borders hold, pixels.

    Raises
    ------
    ConfigError
        A size is missing, or sizes contradict each other.
    """
    parameters = draft.parameters
    method = parameters["bkgMethod"] if parameters["bkgSub"] else "none"
    used = {"bkgSub", "bkgMethod"}
    entry: dict[str, Any] = {"method": "none"}
    if method == "rowAmp":
        used |= {"backStart"}
        entry = _row_amplifier(draft)
    elif method == "colrow":
        used |= {"bkgOrderX", "bkgOrderY", "backsub_directions"}
        entry = {
            "method": "colrow",
            "order_x": parameters["bkgOrderX"],
            "order_y": parameters["bkgOrderY"],
            "directions": parameters["backsub_directions"],
            **_region(draft, reference, used),
        }
    elif method != "none":
        ring = parameters["bkgGeometry"] == "CircularAnnulus"
        entry = {"method": "annulus" if ring else "rectangle", **_region(draft, reference, used)}
        entry["statistic"] = STATISTICS[method]
        if method == "mean":
            entry |= _overlap(parameters["subpixelMethod"], rectangle=not ring)
        if method != "mean":
            draft.put(
                "photometry.sky_error", "measured", "as tshirt from the scatter of the pixels, but as an error (see above)"
            )
            factor = "1.86" if method == "median" else "1.48"
            draft.differs(
                f"the sky's error is {factor} times tshirt's, whose MAD/√N is not a standard error; "
                "`tsogrid export --profile tshirt` writes tshirt's"
            )
    draft.put(
        "sky", [entry], "bkgSub: False" if not parameters["bkgSub"] else f"bkgMethod {method}: {', '.join(sorted(used))}"
    )
    for name in ("bkgMethod", "bkgGeometry", "backStart", "backEnd", "backWidth", "backHeight", "backOffset", "bkgOrderX",
                 "bkgOrderY", "backsub_directions"):  # fmt: skip
        if name not in used:
            draft.skip(name, "not used by this background")
    if method in ("none", "rowAmp"):
        draft.skip("scaleBackground", "this background has no border that could follow")


def _region(draft: Draft, reference: float, used: set[str]) -> dict[str, Any]:
    """Where the sky is taken from: a ring or a rectangle, its offset, and whether it follows the width of the stars."""
    parameters = draft.parameters
    used |= {"bkgGeometry", "backOffset"}
    if parameters["bkgGeometry"] == "CircularAnnulus":
        _ordered(draft, "backStart", "backEnd")
        used |= {"backStart", "backEnd"}
        region: dict[str, Any] = {"inner": parameters["backStart"], "outer": parameters["backEnd"]}
    else:
        _needed(draft, "bkgGeometry: Rectangular", "backWidth", "backHeight")
        used |= {"backWidth", "backHeight"}
        region = {"width": parameters["backWidth"], "height": parameters["backHeight"]}
    if any(parameters["backOffset"]):
        region["offset"] = parameters["backOffset"]
    if parameters["scaleAperture"] and parameters["scaleBackground"]:
        region["scaled"] = {
            "factor": parameters["apScale"],
            "range": parameters["apRange"],
            "reference_radius": reference,
        }
        used.add("scaleBackground")
        if "scaleBackground" not in parameters.given:
            draft.differs(
                "the background follows the aperture, as tshirt's documentation says; its code does that only with "
                "scaleBackground: True. With scaleBackground: False it stays"
            )
    return region


def _row_amplifier(draft: Draft) -> dict[str, Any]:
    if draft.parameters["backStart"] <= 0:
        raise ConfigError("bkgMethod: rowAmp hides the stars within backStart; expected more than 0 pixels, found 0.")
    frames = draft.frames
    entry: dict[str, Any] = {
        "method": "rowamp",
        "mask_radius": round(draft.parameters["backStart"] - JUST_INSIDE, 9),
        "even_odd": True,
        "fill": True,
    }
    if frames.width == STRIPE_COLUMNS and frames.value("NOUTPUTS") is None:
        step = STRIPE_COLUMNS // STRIPE_AMPLIFIERS
        entry["amplifiers"] = [[start, start + step] for start in range(0, STRIPE_COLUMNS, step)]
    draft.differs(
        "rowAmp: an amplifier without background takes the mean of the good ones (tshirt divides by all, so that with one "
        "bad of four it takes off ¾), any number of sources and columns works, and the error counts the pixels once"
    )
    return entry


def photometry(draft: Draft) -> None:
    """Put how errors and areas are summed.

    Parameters
    ----------
    draft : Draft
        The configuration in the making.
    """
    draft.put("photometry.variance_weight", "w", "a pixel's variance counts by its part inside, as in tshirt")
    draft.put("photometry.sky_area", "analytic", "areas are those of the outlines, as in tshirt")
    if draft.parameters["subpixelMethod"] != "exact":
        draft.differs(
            "with subpixelMethod other than exact, background and aperture have the areas of their outlines and the sums of "
            "whole or parts of pixels, as in tshirt; `--set photometry.sky_area=pixels` takes the area that was summed"
        )


def center(draft: Draft) -> None:
    """Put where the stars are looked for and where the apertures go.

    Parameters
    ----------
    draft : Draft
        The configuration in the making.
    """
    parameters = draft.parameters
    scaled = parameters["scaleAperture"]
    copied, shifted = parameters["copyCentroidFile"], parameters["refPhotCentering"]
    centring = parameters["doCentering"] and not copied and not shifted
    method = METHODS[parameters["centroidMethod"]] if centring else "none"
    comment = "centroidMethod" if centring else "doCentering: False"
    if scaled and method != "gaussian":
        if centring:
            draft.differs(
                "centres come from the 2-D Gaussian that gives the widths for scaleAperture, not from "
                f"{parameters['centroidMethod']}"
            )
        method, comment = "gaussian", "scaleAperture needs the widths of the stars"
    draft.put("center.predict", "none", "tshirt looks for a star where it is planned")
    draft.put("center.method", method, comment)
    if method != "none":
        draft.put("center.fit_box", 2 * parameters["boxFindSize"] + 1, "boxFindSize is half of it")
    if method == "gaussian":
        draft.put("center.weights", "none", "tshirt's fit has no weights")
        draft.put("center.angle", True, "and a free angle")
    draft.put("center.dq", [])
    if copied:
        draft.put("center.position", "file", "copyCentroidFile")
        draft.put("center.position_file", draft.path("copyCentroidFile"), "copyCentroidFile")
    elif centring:
        draft.put("center.position", "frame", "doCentering: True")
        draft.put("center.fallback", "nan", "planned would be tshirt's guess")
        draft.differs("a star that is not found has no flux (NaN, and a flag); tshirt puts its guess in, on a wrong place")
        if method == "center-of-mass":
            draft.differs(
                "the centre of mass is taken above the sky; tshirt leaves the sky in, which draws it to the box's middle"
            )
    else:
        draft.put("center.position", "fixed", "refPhotCentering" if shifted else "doCentering: False")
    _drift(draft, centring)
    if not centring:
        draft.skip("centroidMethod", "nothing is centred")
    if method == "none":
        draft.skip("boxFindSize", "nothing is centred")


def _drift(draft: Draft, centring: bool) -> None:
    """Put shifts that are known: of another result, or of a drift file."""
    parameters = draft.parameters
    copied, shifted = parameters["copyCentroidFile"], parameters["refPhotCentering"]
    if copied:
        draft.skip("refPhotCentering", "copyCentroidFile says where the stars are")
        draft.skip("driftFile", "copyCentroidFile says where the stars are")
    elif shifted:
        draft.put(
            "center.drift",
            {"file": draft.path("refPhotCentering"), "scale": SW_FROM_LW, "source": 0},
            "refPhotCentering: half of the motion of the first star there",
        )
        draft.skip("driftFile", "refPhotCentering says how the stars move")
    elif parameters["driftFile"]:
        draft.put("center.drift", {"file": draft.path("driftFile")}, "driftFile: shifts of the planned positions")
        if not centring:
            draft.differs(
                "driftFile moves the apertures in every frame; tshirt without doCentering takes the first frame's shift"
            )


def calibrate(draft: Draft) -> None:
    """Put what is a bad pixel, and what is a saturated star.

    Parameters
    ----------
    draft : Draft
        The configuration in the making.
    """
    parameters = draft.parameters
    treatment = parameters["nanTreatment"]
    draft.put("calibrate.dq", [], "tshirt knows no quality plane")
    if treatment == "zero":
        draft.put("calibrate.nan", "mask", "nanTreatment zero; 0 gives tshirt's number")
        draft.differs(
            "pixels that are NaN are left out; tshirt puts 0 there and counts it in the background, which pulls the mean "
            "down. `--set calibrate.nan=0` gives tshirt's number"
        )
    elif treatment == "value":
        draft.put("calibrate.nan", parameters["nanReplaceValue"], "nanTreatment value: nanReplaceValue")
    else:
        draft.put("calibrate.nan", "leave", "nanTreatment leave")
    if treatment != "value":
        draft.skip("nanReplaceValue", f"not used with nanTreatment: {treatment}")
    if parameters["saturationVal"] is not None:
        limit = {"level": parameters["saturationVal"], "pixels": parameters["satNPix"]}
        draft.put("calibrate.saturation", limit, "saturationVal, satNPix: in electrons, as tshirt compares them")
    else:
        draft.skip("satNPix", "not used without saturationVal")
