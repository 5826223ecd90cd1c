"""Star fields with known truth, painted by other code than the package's: profiles, turned, summed over subpixels."""

from typing import NamedTuple

import numpy as np


class Field(NamedTuple):
    """An image in electrons, and its stars: x, y, flux, number of the blend (−1 for lonely ones)."""

    data: np.ndarray
    stars: np.ndarray


def star(shape, x, y, flux, gamma, angle, alpha, subpixels=1):
    """One star; ``gamma`` holds both core widths."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    places = (np.arange(subpixels) + 0.5) / subpixels - 0.5
    total = np.zeros(shape)
    for down in places:
        for right in places:
            u, v = columns + right - x, rows + down - y
            along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
            total += (1 + (along / gamma[0]) ** 2 + (across / gamma[1]) ** 2) ** -alpha
    return flux * (alpha - 1) / (np.pi * gamma[0] * gamma[1]) * total / subpixels**2


def field(
    seed, shape=(256, 256), lonely=9, pairs=2, apart=1.2, ratio=0.5, fwhm=5.0, alpha=3.0, axis_ratio=1.0, angle=0.5,
    sky=350.0, read_noise=10.7, slope=0.0, flux=(2e4, 5e5), subpixels=1,
):  # fmt: skip
    """Lonely stars and pairs ``apart`` FWHM from each other, over a sky with a slope (electrons from side to side)."""
    rng = np.random.default_rng(seed)
    core = fwhm / 2 / np.sqrt(2 ** (1 / alpha) - 1)
    gamma = core / np.sqrt(axis_ratio), core * np.sqrt(axis_ratio)
    places: list = []
    while len(places) < lonely + pairs:
        place = rng.uniform([25, 25], [shape[1] - 25, shape[0] - 25])
        if all(np.hypot(*(place - other)) > 38 for other in places):
            places.append(place)
    stars = [[*place, 10 ** rng.uniform(*np.log10(flux)), -1] for place in places[:lonely]]
    for number, (x, y) in enumerate(places[lonely:]):
        turn, bright = rng.uniform(0, 2 * np.pi), rng.uniform(2e5, 4e5)
        stars.append([x, y, bright, number])
        stars.append([x + apart * fwhm * np.cos(turn), y + apart * fwhm * np.sin(turn), ratio * bright, number])
    model = sky + slope * np.linspace(-0.5, 0.5, shape[1])[None] + np.zeros(shape)
    for x, y, light, _ in stars:
        model += star(shape, x, y, light, gamma, angle, alpha, subpixels)
    return Field(rng.poisson(model) + read_noise * rng.standard_normal(shape), np.array(stars))


def matched(rows, stars, within=1.5):
    """Rows of the catalogue in the order of the true stars (each must be there), and how many rows are left over."""
    distance = np.hypot(rows["x_fit"].to_numpy()[None] - stars[:, :1], rows["y_fit"].to_numpy()[None] - stars[:, 1:2])
    nearest = distance.argmin(axis=1)
    assert (distance.min(axis=1) < within).all()
    assert len(set(nearest)) == len(stars)
    return rows.iloc[nearest], len(rows) - len(stars)
