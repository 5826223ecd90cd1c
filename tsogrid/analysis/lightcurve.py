"""One source's light curve out of a result: flux and its error over time, in the result's unit or relative to its middle."""

from typing import Any

import xarray as xr

from tsogrid.analysis.select import cells, light_curve_attributes, require_result, source_number
from tsogrid.errors import ConfigError

NORMALISATIONS = ("median", "mean")


def light_curve(
    result: xr.Dataset, source: Any = None, aperture: Any = None, sky: Any = None, normalise: bool | str = False
) -> xr.Dataset:
    """Take the light curve of one source.

    Nothing is computed: a result that is lazy gives a light curve that is lazy.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source : str or int, optional
        Name or number (from 0); the first target if not given.
    aperture : str, float or list, optional
        Label, or radius of a circle in pixels; all apertures if not given.
    sky : str, int or list, optional
        Label or number (from 0); all skies if not given.
    normalise : {False, "median", "mean"}
        Divide by the median or mean over time; True is the median.

    Returns
    -------
    Dataset
        ``flux`` and ``flux_err`` over time (and over the apertures and skies where several are left), and the source's
        ``flags`` and ``aperture_flags`` if the result has them. The attribute ``choice`` says what was chosen and why.

    Raises
    ------
    ConfigError
        There is no such source, aperture, sky or normalisation.
    """
    require_result(result)
    if normalise is True:
        normalise = "median"
    if normalise and normalise not in NORMALISATIONS:
        raise ConfigError(f"normalise: expected False, {' or '.join(NORMALISATIONS)}; found {normalise!r}.")
    number, said = source_number(result, source)
    names = [name for name in ("flux", "flux_err", "flags", "aperture_flags") if name in result]
    chosen, where = cells(result[names].isel(source=number), aperture, sky)
    curve = chosen
    if normalise:
        flux = chosen["flux"].chunk(time=-1) if chosen["flux"].chunks else chosen["flux"]
        # dask has no median over all axes of an array: a second one lets a lazy light curve stay lazy.
        middle = getattr(flux.expand_dims("one"), str(normalise))("time", skipna=True).squeeze("one")
        for name, long_name in (("flux", f"flux relative to its {normalise}"), ("flux_err", "1 sigma error of the flux")):
            curve = curve.assign({name: (chosen[name] / middle).assign_attrs(units="1", long_name=long_name)})
    curve.attrs = light_curve_attributes(result) | {"choice": f"{said}; {where}" if where else said}
    return curve
