"""``tsogrid lco``: a folder of LCO images becomes a data set of light curves."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsogrid.cli.progress import progress_on

if TYPE_CHECKING:
    from tsogrid.config import ClusterConfig
    from tsogrid.survey.lco.pipeline import Reduction

LISTED = 20  # images without a WCS that are named


def lco(
    folder: Annotated[Path, typer.Argument(help="The images of one field, and Gaia_catalog.dat.", metavar="DIR")],
    config: Annotated[
        Path | None, typer.Option(help="[default: reduction_config.yaml in DIR, or its defaults]", metavar="PATH")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Stars of the field [default: Gaia_catalog.dat in DIR or above, else Vizier].", metavar="PATH"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where all is written [default: DIR].", metavar="FOLDER")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write WCS and fluxes into the images, not into copies in products/.")
    ] = False,
    products: Annotated[bool, typer.Option("--products/--no-products", help="Write them at all.")] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Measure all images once more, also with other settings.")
    ] = False,
    star: Annotated[
        list[str] | None,
        typer.Option(help="Write its light curve too: index, source id, or ra,dec; repeatable.", metavar="STAR"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="auto, none, local, slurm, pbs, kubernetes, or tcp://host:8786.", metavar="KIND|ADDRESS"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", metavar="N")] = None,
) -> None:
    """Measure LCO images at the places of a catalogue, as the microlensing pipeline does.

    Each image gets a refined WCS that is verified, and a flux for each star; all together a data set (HDF5 and zarr) with
    photometric scales, and the light curve of the target. Whatever stopped a run, the same command goes on with it; later
    it measures the new images only.
    """
    from tsogrid.errors import RunError
    from tsogrid.survey.lco.light_curves import write_light_curves
    from tsogrid.survey.lco.pipeline import reduce

    with progress_on(sys.stdout) as progress:
        found = reduce(
            folder,
            config=config,
            catalog=catalog,
            output=output,
            in_place=in_place,
            products=products,
            everything=everything,
            cluster=_cluster(cluster, workers),
            progress=progress,
        )
    typer.echo("\n".join(summary(found)))
    for name, where in _wanted(found, star or []):
        paths = write_light_curves(found.dataset, where, name, found.folder, found.config)
        typer.echo(f"{name}: star {found.dataset.find_star(where)}, {' and '.join(str(path) for path in paths)}")
    if found.failure is not None:
        raise found.failure
    if found.dataset.flux.shape[1] and not found.solved.any():
        raise RunError(
            f"{folder}: none of {found.dataset.flux.shape[1]} images could be placed on the sky. Is the catalogue that "
            "of this field?"
        )


def _cluster(kind: str | None, workers: int | None) -> "ClusterConfig | None":
    if kind is None and workers is None:
        return None
    from tsogrid.cli.configuration import on_cluster
    from tsogrid.config import Config

    base: Config = Config()
    return on_cluster(base, kind, {} if workers is None else {"cluster.workers": workers}).cluster


def _wanted(found: "Reduction", stars: list[str]) -> list[tuple[str, object]]:
    """The stars whose light curves are written: name, and what says which it is."""
    from tsogrid.errors import InputError

    target, wanted = found.config.target, []
    if target.RA is not None and target.Dec is not None:
        try:
            found.dataset.find_star((target.RA, target.Dec))
            wanted.append((target.name or "target", (target.RA, target.Dec)))
        except InputError as error:
            typer.echo(f"{target.name or 'target'}: no light curve: {error}")
    return [*wanted, *((f"star_{each}", each) for each in stars)]


def summary(found: "Reduction") -> list[str]:
    """Say what a reduction gave.

    Parameters
    ----------
    found : Reduction

    Returns
    -------
    list of str
    """
    import numpy as np

    data = found.dataset
    stars, images = data.flux.shape
    solved = found.solved
    seen = int(np.isfinite(data.flux).any(axis=1).sum())
    lines = [f"{images} images ({len(found.measured)} measured now), {stars} stars in the catalogue, {seen} measured"]
    lost = [f"  {file}: {message}" for file, message, ok in zip(data.files, data.messages, solved, strict=True) if not ok]
    if lost:
        lines += [f"without a WCS, fluxes NaN: {len(lost)}", *lost[:LISTED]]
        lines += [f"  … and {len(lost) - LISTED} more"] if len(lost) > LISTED else []
    odd = [f"  {f}: {m}" for f, m, ok in zip(data.files, data.messages, solved, strict=True) if ok and m]
    lines += [f"to look at: {len(odd)}", *odd[:LISTED]] if odd else []
    known = np.isfinite(data.pscale[1])
    if known.any():
        low, high = data.pscale[1][known].min(), data.pscale[1][known].max()
        error = np.nanmedian(data.scale_err[known] / data.pscale[1][known]) if np.isfinite(data.scale_err).any() else np.nan
        told = f", known to {100 * error:.2g} %" if np.isfinite(error) else ""
        lines.append(f"photometric scale {low:.3f} to {high:.3f}{told}")
    copies = [f"{found.folder / 'products'} (copies of the images)"] if (found.folder / "products").is_dir() else []
    lines.append(f"written: {', '.join([*map(str, found.written), *copies])}")
    return lines
