"""The result, declared: every variable's name, dimensions, type, unit and meaning, once.

The template of a result, its store, its tables and the documentation are all made from this list.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tsogrid.config import AmplifierStep, Config, Registration, Shape
from tsogrid.flags import ApertureFlag, RegistrationFlag, SourceFlag, cf_attributes

T, S, A, K = "time", "source", "aperture", "sky"


def _always(config: Config) -> bool:
    return True


def _cross_correlated(config: Config) -> bool:
    return config.center.predict == "cross-correlation" and config.center.method != "none"


def _moment_predicted(config: Config) -> bool:
    return config.center.predict == "center-of-mass" and config.center.method != "none"


def _centred(config: Config) -> bool:
    return config.center.method != "none"


def _fitted(config: Config) -> bool:
    return config.center.method in ("gaussian", "gaussian-1d")


def _rotated(config: Config) -> bool:
    return config.center.method == "gaussian"


def _parabolic(config: Config) -> bool:
    return config.center.method == "quadratic"


def _scaled(config: Config) -> bool:
    return any(isinstance(aperture, Shape) and aperture.scaled is not None for aperture in config.apertures)


def _registered(config: Config) -> bool:
    return isinstance(config.center.registration, Registration)


def _filtered(config: Config) -> bool:
    return config.calibrate.outliers is not None


def _amplified(config: Config) -> bool:
    return any(isinstance(step, AmplifierStep) for chain in config.sky for step in chain)


@dataclass(frozen=True)
class Variable:
    """One variable of the result.

    Parameters
    ----------
    name : str
        Its name.
    dims : tuple of str
        Its dimensions, time first.
    unit : str
        A unit, in which ``{data}`` stands for the unit of a pixel's value and ``{level}`` for that unit per pixel.
    long_name : str
        What it means.
    dtype : str
        Its type.
    when : callable
        Whether a configuration measures it.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    dtype: str = "float64"
    when: Callable[[Config], bool] = _always


VARIABLES: tuple[Variable, ...] = (
    Variable("flux", (T, S, A, K), "{data}", "flux: aperture sum less sky"),
    Variable("flux_err", (T, S, A, K), "{data}", "1 sigma error of the flux"),
    Variable("aperture_sum", (T, S, A), "{data}", "sum in the aperture, before sky"),
    Variable("aperture_sum_err", (T, S, A), "{data}", "1 sigma error of the aperture sum"),
    Variable("aperture_area", (T, S, A), "pixel", "area of the good pixels in the aperture"),
    Variable("bad_pixels", (T, S, A), "1", "number of bad pixels in the aperture", "int32"),
    Variable("sky_level", (T, S, K), "{level}", "sky per pixel"),
    Variable("sky_level_err", (T, S, K), "{level}", "1 sigma error of the sky per pixel"),
    Variable("sky_area", (T, S, K), "pixel", "area of the pixels that gave the sky"),
    Variable("sky_sum", (T, S, A, K), "{data}", "sky inside the aperture"),
    Variable("sky_sum_err", (T, S, A, K), "{data}", "1 sigma error of the sky inside the aperture"),
    Variable(
        "amplifier_correlation",
        (T, K),
        "1",
        "mean correlation of the amplifiers' row levels, where a step looks at them together",
        when=_amplified,
    ),
    Variable("x", (T, S), "pixel", "x of the apertures' centre"),
    Variable("y", (T, S), "pixel", "y of the apertures' centre"),
    Variable("x_cc", (T, S), "pixel", "x of the cross-correlation centre", when=_cross_correlated),
    Variable("y_cc", (T, S), "pixel", "y of the cross-correlation centre", when=_cross_correlated),
    Variable("x_predicted", (T, S), "pixel", "x of the centre of mass in the search box", when=_moment_predicted),
    Variable("y_predicted", (T, S), "pixel", "y of the centre of mass in the search box", when=_moment_predicted),
    Variable("x_com", (T, S), "pixel", "x of the centre of mass in the fit box", when=_centred),
    Variable("y_com", (T, S), "pixel", "y of the centre of mass in the fit box", when=_centred),
    Variable("x_quadratic", (T, S), "pixel", "x of the quadratic fit about the peak", when=_parabolic),
    Variable("y_quadratic", (T, S), "pixel", "y of the quadratic fit about the peak", when=_parabolic),
    Variable("x_fit", (T, S), "pixel", "x of the Gaussian fit", when=_fitted),
    Variable("y_fit", (T, S), "pixel", "y of the Gaussian fit", when=_fitted),
    Variable("x_fit_err", (T, S), "pixel", "1 sigma error of x_fit", when=_fitted),
    Variable("y_fit_err", (T, S), "pixel", "1 sigma error of y_fit", when=_fitted),
    Variable("sigma_x", (T, S), "pixel", "Gaussian width (1 sigma) along x, or along theta", when=_centred),
    Variable("sigma_y", (T, S), "pixel", "Gaussian width (1 sigma) along y, or across theta", when=_centred),
    Variable("sigma_x_err", (T, S), "pixel", "1 sigma error of sigma_x", when=_centred),
    Variable("sigma_y_err", (T, S), "pixel", "1 sigma error of sigma_y", when=_centred),
    Variable("theta", (T, S), "rad", "angle of the Gaussian's first axis, counter-clockwise from x", when=_rotated),
    Variable("theta_err", (T, S), "rad", "1 sigma error of theta", when=_rotated),
    Variable("amplitude", (T, S), "{level}", "height of the Gaussian above its offset", when=_centred),
    Variable("amplitude_err", (T, S), "{level}", "1 sigma error of the amplitude", when=_centred),
    Variable("offset", (T, S), "{level}", "level under the Gaussian", when=_fitted),
    Variable("offset_err", (T, S), "{level}", "1 sigma error of the offset", when=_fitted),
    Variable("aperture_radius", (T, S, A), "pixel", "radius of the aperture, or of its circle at scale 1", when=_scaled),
    Variable("outliers", (T, S), "1", "pixels in the largest aperture that stood out in time", "int32", when=_filtered),
    Variable("frame_shift_x", (T,), "pixel", "shift in x of the frame's middle from the reference frame", when=_registered),
    Variable("frame_shift_y", (T,), "pixel", "shift in y of the frame's middle from the reference frame", when=_registered),
    Variable("frame_rotation", (T,), "rad", "angle to the reference frame, counter-clockwise from x", when=_registered),
    Variable("frame_scale", (T,), "1", "scale, in that of the reference frame", when=_registered),
    Variable("frame_stars", (T,), "1", "stars found in the frame, at most 200", "int32", when=_registered),
    Variable("frame_matched", (T,), "1", "stars of the reference frame among them", "int32", when=_registered),
    Variable("frame_rms", (T,), "pixel", "root mean square distance of the matched stars", when=_registered),
    Variable("frame_transparency", (T,), "1", "flux of the stars, in that of the reference frame", when=_registered),
    Variable("frame_flags", (T,), "1", "why the frame is not registered, or is doubtful", "int32", when=_registered),
    Variable("flags", (T, S), "1", "quality of a source in a frame", "int32"),
    Variable("aperture_flags", (T, S, A), "1", "quality of an aperture in a frame", "int32"),
)
# Coordinates beside the times, where site and target are known.
TIME_COORDINATES: dict[str, dict[str, str]] = {
    "altitude": {"units": "degree", "long_name": "true altitude of the target at mid-exposure (no refraction)"},
    "airmass": {
        "units": "1",
        "long_name": "airmass of the target at mid-exposure",
        "source": "Young 1994, Appl. Opt. 33, 1108",
    },
    "bjd_tdb_source": {
        "units": "d",
        "scale": "tdb",
        "format": "jd",
        "long_name": "BJD_TDB of mid-exposure at each source given by ra and dec",
        "time_origin": "barycentre of the solar system; Julian date, no offset",
    },
}
BY_NAME = {variable.name: variable for variable in VARIABLES}
_FLAG_BITS = {"flags": SourceFlag, "frame_flags": RegistrationFlag, "aperture_flags": ApertureFlag}


def variables(config: Config) -> list[Variable]:
    """List the variables that a configuration measures.

    Parameters
    ----------
    config : Config
        A complete configuration.

    Returns
    -------
    list of Variable
        In the order in which they are stored.
    """
    return [variable for variable in VARIABLES if variable.when(config)]


def attributes(variable: Variable, data_unit: str) -> dict[str, object]:
    """Give the attributes of a result variable.

    Parameters
    ----------
    variable : Variable
        One of `VARIABLES`.
    data_unit : str
        The unit of a pixel's value; a sum over pixels has the same unit, a level is per pixel.

    Returns
    -------
    dict
        ``units``, ``long_name`` and, for flags, their CF description.
    """
    level = f"{data_unit} / pixel" if data_unit and data_unit != "1" else data_unit
    content: dict[str, object] = {
        "units": variable.unit.format(data=data_unit, level=level),
        "long_name": variable.long_name,
    }
    if variable.name in _FLAG_BITS:
        content |= cf_attributes(_FLAG_BITS[variable.name])
    return content
