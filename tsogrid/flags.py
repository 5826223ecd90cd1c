"""Quality bits: each declared once, with its name and meaning.

``flags`` speaks of a source in a frame, ``aperture_flags`` of one of its apertures. The names are public: they are written
into the result as CF ``flag_meanings`` beside their ``flag_masks``.
"""

from enum import IntFlag
from typing import Any


class SourceFlag(IntFlag):
    """Bits of ``flags(time, source)``."""

    NO_DATA = 1  # no finite pixel near the source
    PREDICT_FAILED = 2  # the predicted centre (cross-correlation or centre of mass) was not found
    CENTER_FAILED = 4  # the centre (fit or centre of mass) was not found
    POSITION_FALLBACK = 8  # the apertures stand where the source is planned, not where it was measured in this frame
    POSITION_OFF_FRAME = 16  # the position is unknown or outside the frame
    SKY_FAILED = 32  # at least one sky level could not be found
    SATURATED = 64  # too many saturated pixels in at least one aperture
    CENTER_REPAIRED = 128  # the centre was an outlier of the series and was replaced
    OUTLIERS = 256  # pixels of an aperture stood out of their own time series (repaired or left out)
    NOT_REGISTERED = 512  # the frame could not be registered to the reference frame (``frame_flags`` tells why)
    CLOUDED = 1024  # the stars of the frame are much fainter than in the reference frame
    UNREADABLE = 2048  # the file of the frame could not be read; the same run measures it once it is mended


class RegistrationFlag(IntFlag):
    """Bits of ``frame_flags(time)``: why a frame is not registered, and what is odd about one that is."""

    TOO_FEW_STARS = 1  # fewer than three stars in the frame
    NO_MATCH = 2  # no transform brings three stars of the frame to stars of the reference
    POOR_FIT = 4  # the stars that match lie too far from each other
    STARS_MISSING = 8  # too many of the stars that should be seen are not
    BY_CHANCE = 16  # so few stars match that it may be chance
    CLOUDED = 32  # registered, but little of the stars' light is left


class ApertureFlag(IntFlag):
    """Bits of ``aperture_flags(time, source, aperture)``."""

    BAD_PIXEL = 1  # at least one bad pixel inside the aperture
    OFF_FRAME = 2  # part of the aperture lies outside the frame
    NO_PIXELS = 4  # no good pixel inside the aperture
    ERROR_UNKNOWN = 8  # errors are known for the frames, but not for every pixel of this aperture
    WHOLE_FRAME = 16  # the whole frame was summed in place of the aperture, without sky
    SATURATED = 32  # too many saturated pixels inside the aperture
    RADIUS_UNKNOWN = 64  # the size follows the width of the stars, which could not be measured
    OVERLAP = 128  # the same aperture about another source of the run reaches into it
    NEIGHBOUR = 256  # another source of the run stands inside the aperture


class ImageFlag(IntFlag):
    """Bits of ``image_flags(image)``, where every image has a catalogue of its own."""

    UNREADABLE = 1  # the file is missing, damaged or not an image
    FAILED = 2  # measuring it raised an error or killed its worker
    CHANGED = 4  # the file changed again and again while it was read
    NO_STARS = 8  # no star was found
    PSF_FAILED = 16  # no model of the stars' shape could be made
    NO_WCS = 32  # nothing says where on the sky the image lies
    WCS_FAILED = 64  # a position on the sky was tried and does not hold
    NO_TIME = 128  # the header says no time of exposure


class ForcedFlag(IntFlag):
    """Bits of ``star_flags`` of forced photometry: a flux at a place that a catalogue gives."""

    OFF_FRAME = 1  # the circle does not lie on the frame as a whole
    BAD_PIXEL = 2  # at least one bad pixel inside the circle
    LIGHT_LOST = 4  # so many of them that there is no flux
    SATURATED = 8  # at least one saturated pixel inside the circle
    SKY_FAILED = 16  # the sky about it could not be found
    ERROR_UNKNOWN = 32  # there is a flux, but not its error
    NOT_PLACED = 64  # it is not known where the image lies on the sky


# An image without a catalogue: measured again by the next run.
SET_ASIDE = ImageFlag.UNREADABLE | ImageFlag.FAILED | ImageFlag.CHANGED


class PsfFlag(IntFlag):
    """Bits of ``flags`` of a source fitted with the stars' own profile; the lower ones mean what they mean in photutils."""

    PIXELS_MISSING = 1  # bad pixels, or the edge of the frame, within the fitted radius
    OFF_FRAME = 2  # the fitted position is outside the frame
    NOT_POSITIVE = 4  # the flux is not positive
    NOT_CONVERGED = 8  # the fit did not settle
    NO_COVARIANCE = 16  # the errors could not be found
    AT_BOUND = 32  # the position stopped at the end of its range
    NO_OVERLAP = 64  # the source does not overlap the frame
    ALL_MASKED = 128  # no good pixel within the fitted radius
    TOO_FEW_PIXELS = 256  # fewer good pixels than parameters
    SATURATED = 512  # saturated pixels within the fitted radius
    COSMIC_RAY = 1024  # a cosmic ray within the fitted radius was left out
    CROWDED_PSF = 2048  # no star of the frame is isolated: the profile comes from the least crowded ones
    ASSUMED_PSF = 4096  # no star of the frame tells the profile: it is assumed
    GROUP_DIVIDED = 8192  # the group was too large to be fitted at once: some neighbours were held


# What the field is like, not what went wrong: a star with a near neighbour has these in every frame.
OF_THE_FIELD = ApertureFlag.OVERLAP | ApertureFlag.NEIGHBOUR

# The data-quality bits of the JWST pipeline, for the frames whose reader knows no others
# (jwst-pipeline.readthedocs.io, "Data Quality Flags").
JWST_DQ = {
    "DO_NOT_USE": 1,
    "SATURATED": 2,
    "JUMP_DET": 4,
    "DROPOUT": 8,
    "OUTLIER": 16,
    "PERSISTENCE": 32,
    "AD_FLOOR": 64,
    "CHARGELOSS": 128,
    "UNRELIABLE_ERROR": 256,
    "NON_SCIENCE": 512,
    "DEAD": 1024,
    "HOT": 2048,
    "WARM": 4096,
    "LOW_QE": 8192,
    "RC": 16384,
    "TELEGRAPH": 32768,
    "NONLINEAR": 65536,
    "BAD_REF_PIXEL": 131072,
    "NO_FLAT_FIELD": 262144,
    "NO_GAIN_VALUE": 524288,
    "NO_LIN_CORR": 1048576,
    "NO_SAT_CHECK": 2097152,
    "UNRELIABLE_BIAS": 4194304,
    "UNRELIABLE_DARK": 8388608,
    "UNRELIABLE_SLOPE": 16777216,
    "UNRELIABLE_FLAT": 33554432,
    "OPEN": 67108864,
    "ADJ_OPEN": 134217728,
    "FLUX_ESTIMATED": 268435456,
    "MSA_FAILED_OPEN": 536870912,
    "OTHER_BAD_PIXEL": 1073741824,
    "REFERENCE_PIXEL": 2147483648,
}


def cf_attributes(bits: type[IntFlag]) -> dict[str, Any]:
    """Give the CF attributes that explain a flag variable.

    Parameters
    ----------
    bits : type of IntFlag
        `SourceFlag`, `ApertureFlag` or another of this module.

    Returns
    -------
    dict
        ``flag_masks`` (list of int) and ``flag_meanings`` (names, lower case, separated by blanks).
    """
    return {
        "flag_masks": [int(bit) for bit in bits],
        "flag_meanings": " ".join(str(bit.name).lower() for bit in bits),
    }
