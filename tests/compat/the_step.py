"""The pipeline's step written down a second time with photutils, from its published description, as a peer for the tests."""

import warnings

import numpy as np
from astropy.io import fits
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture
from photutils.centroids import centroid_sources


def read(path, gain=None):
    """SCI, ERR and the mask of centring, in the table's unit; the planned position."""
    with fits.open(path) as hdus:
        header, primary = hdus["SCI"].header, hdus[0].header
        data, error = (hdus[name].data.astype(np.float32) for name in ("SCI", "ERR"))
        bad = (hdus["DQ"].data & 1) != 0
        planned = header["XREF_SCI"] - 1, header["YREF_SCI"] - 1
    factor = 1e6 * header["PIXAR_SR"] if header["BUNIT"] == "MJy/sr" else primary["EFFINTTM"] * gain
    return data * np.float32(factor), error * np.float32(factor), bad | np.isnan(data * factor), planned


def centroids(data, bad, guess, box, radius):
    """One centre of mass an integration, less the median of the frame away from the guess."""
    y, x = np.mgrid[: data.shape[1], : data.shape[2]]
    near = (x - guess[0]) ** 2 + (y - guess[1]) ** 2 < radius**2
    found = np.full((len(data), 2), np.nan)
    for i, image in enumerate(data):
        try:
            centre = centroid_sources(image - np.nanmedian(image[~near]), *guess, mask=bad[i], box_size=box)
        except ValueError:
            continue
        found[i] = centre[0][0], centre[1][0]
    return found


def weighted(aperture, values, bad):
    """Sum of values over the pixels that are not bad, each by the part of it inside the aperture; NaN if there is none."""
    weight = aperture.to_mask(method="exact").to_image(values.shape)
    if weight is None or not (inside := (weight > 0) & ~bad).any():
        return np.nan
    return np.sum(weight[inside] * values[inside].astype(float))


def holds_a_centre(aperture, shape):
    """Whether the centre of a pixel lies inside: without one, photutils 3.0 knew no area (3.1 does)."""
    inside = aperture.to_mask(method="center").to_image(shape)
    return inside is not None and bool((inside > 0).any())


def the_step(path, radii=(3, 4, 5), center=True, moving=False, boxes=(41, 11), gain=None):
    """Columns of the step's table as arrays."""
    data, error, bad, planned = read(path, gain)
    radius, inner, outer = radii
    table = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        position = np.tile(planned, (len(data), 1)).astype(float)
        if center:
            first = centroids(data, bad, planned, boxes[0], inner)
            guess = np.nanmedian(first, axis=0) if np.isfinite(first).any() else planned
            found = centroids(data, bad, guess, boxes[1], inner)
            table["centroid_x"], table["centroid_y"] = found.T
            if np.isfinite(found).any():
                position = found if moving else np.tile(np.nanmedian(found, axis=0), (len(data), 1))
        rows = []
        for image, sigma, (x, y) in zip(data, error, position, strict=True):
            if not np.isfinite([x, y]).all():
                rows.append(np.full(6, np.nan))
                continue
            apertures = CircularAperture((x, y), radius), CircularAnnulus((x, y), inner, outer)
            circle, ring = (ApertureStats(image, aperture) for aperture in apertures)
            # Errors as photutils 3.0 gave them, Σ w σ²; 3.1 has Σ w² σ².
            variance = [weighted(aperture, sigma**2, ~np.isfinite(image)) for aperture in apertures]
            area = [
                stats.sum_aper_area.value if holds_a_centre(aperture, image.shape) else np.nan
                for stats, aperture in zip((circle, ring), apertures, strict=True)
            ]
            rows.append([circle.sum, np.sqrt(variance[0]), ring.sum, np.sqrt(variance[1]), *area])
    total, total_err, ring, ring_err, area, ring_area = np.array(rows, float).T
    table |= {"aperture_sum": total, "aperture_sum_err": total_err, "annulus_sum": ring, "annulus_sum_err": ring_err}
    table["annulus_mean"], table["annulus_mean_err"] = ring / ring_area, ring_err / ring_area
    table["aperture_bkg"], table["aperture_bkg_err"] = area * ring / ring_area, area * ring_err / ring_area
    table["net_aperture_sum"] = total - table["aperture_bkg"]
    table["net_aperture_sum_err"] = np.hypot(total_err, table["aperture_bkg_err"])
    table["aperture_x"], table["aperture_y"] = position.T
    return table
