"""Frames before and after the sky is taken off, as FITS for who measures and as PNG for who looks."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr


def save_diagnostics(frames: xr.Dataset, folder: Path) -> list[Path]:
    """Write frames before and after each sky.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.engine.diagnostics.sky_frames`.
    folder : Path
        Where they are written, over older ones; made if missing.

    Returns
    -------
    list of Path
        For each frame a FITS file (``BEFORE``, and for each sky ``MODELn`` and ``AFTERn``, its label in the keyword SKY) and
        a PNG picture.
    """
    folder.mkdir(exist_ok=True)
    paths = []
    for frame in frames["frame"].to_numpy():
        one = frames.sel(frame=frame)
        path = folder / f"frame_{int(frame):06d}"
        paths += [path.with_suffix(".fits"), path.with_suffix(".png")]
        _write_fits(one, paths[-2])
        _write_picture(one, paths[-1])
    return paths


def _write_fits(frame: xr.Dataset, path: Path) -> None:
    from astropy.io import fits

    units = [fits.PrimaryHDU(), fits.ImageHDU(frame["before"].to_numpy(), name="BEFORE")]
    units[0].header["FRAME"] = (int(frame["frame"]), "0-based in the series")
    for index, sky in enumerate(frame["sky"].to_numpy()):
        for name in ("model", "after"):
            unit = fits.ImageHDU(frame[name].sel(sky=sky).to_numpy(), name=f"{name.upper()}{index}")
            unit.header["SKY"] = str(sky)
            units.append(unit)
    for unit in units[1:]:
        unit.header["BUNIT"] = str(frame["before"].attrs.get("units", ""))
    fits.HDUList(units).writeto(path, overwrite=True)


def _write_picture(frame: xr.Dataset, path: Path) -> None:
    import matplotlib.pyplot as plt

    skies = frame["sky"].to_numpy()
    ny, nx = frame["before"].shape
    wide = nx > 3 * ny  # a stripe: one picture under the other
    shape = (3 * len(skies), 1) if wide else (len(skies), 3)
    height = (8.0 * ny / nx + 0.6) * shape[0] if wide else (2.3 * ny / nx + 0.9) * len(skies)
    figure, panels = plt.subplots(*shape, figsize=(9.0, max(height, 2.0)), squeeze=False, layout="constrained")
    for index, (sky, row) in enumerate(zip(skies, panels.reshape(len(skies), 3), strict=True)):
        for name, axes in zip(("before", "model", "after"), row, strict=True):
            image = frame[name] if name == "before" else frame[name].sel(sky=sky)
            draw(image, axes, f"{name}: {sky}" if wide and name != "before" else name)
            if name == "model" and not wide:
                axes.set_title(f"{sky}\nmodel", fontsize="small")
            if index < len(skies) - 1 or (wide and name != "after"):
                axes.set_xlabel("")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw(image: xr.DataArray, axes: Any, title: str) -> Any:
    """Draw one picture; its scale runs from the 2nd to the 98th percentile.

    Parameters
    ----------
    image : DataArray, shape (ny, nx)
        Pixels.
    axes : matplotlib Axes
        Where to draw.
    title : str
        Over the picture.

    Returns
    -------
    matplotlib Axes
    """
    pixels = image.to_numpy()
    good = pixels[np.isfinite(pixels)]
    low, high = np.percentile(good, [2, 98]) if good.size else (0.0, 1.0)
    drawn = axes.imshow(
        pixels, origin="lower", cmap="viridis", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest"
    )
    axes.set_title(title, fontsize="small")
    axes.set_xlabel("x (pixel)", fontsize="small")
    axes.set_ylabel("y (pixel)", fontsize="small")
    axes.tick_params(labelsize="x-small")
    bar = axes.figure.colorbar(
        drawn, cax=axes.inset_axes([1.02, 0.0, 0.02 if pixels.shape[1] > 3 * pixels.shape[0] else 0.05, 1.0])
    )
    bar.ax.tick_params(labelsize="x-small")
    return axes
