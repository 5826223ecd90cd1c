"""The photometry of a Nickel night: choose the frames, measure each into a catalogue, write the tables, show the plots."""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tsogrid.config import AutoCluster, ClusterConfig
from tsogrid.engine.identity import difference
from tsogrid.engine.run import Progress, Silent
from tsogrid.errors import InputError, RunError, StoreError
from tsogrid.flags import SET_ASIDE
from tsogrid.survey.catalogue import Catalogue, attributes_of, catalogue_of, open_catalogues
from tsogrid.survey.images import Mode, measure_images
from tsogrid.survey.nickel.file_table import FrameFile, choose
from tsogrid.survey.nickel.logs import logged_to
from tsogrid.survey.nickel.plots import show
from tsogrid.survey.nickel.solutions import find_solutions
from tsogrid.survey.nickel.tables import write_table
from tsogrid.survey.nickel.task import FrameTask
from tsogrid.survey.psf_frame import PsfSettings

LOG = logging.getLogger("tsogrid.nickel")
FOLDER = "photometric"
LOG_FILE = "photometry.log"
# Group → folder of the tables, end of their names, store.
KINDS = {
    False: ("unconsolidated", "_photsrcs.csv", "unconsolidated.zarr"),
    True: ("consolidated", "_photsrcs_consol.csv", "consolidated.zarr"),
}
WORDS = {
    "group_id": ("1", "group of sources that were fitted together, from 1"),
    "group_size": ("1", "number of sources of the group"),
    "flags": ("1", "quality bits of the source"),
    "x_fit": ("pixel", "position along x, from 0"),
    "y_fit": ("pixel", "position along y, from 0"),
    "x_err": ("pixel", "error of x_fit"),
    "y_err": ("pixel", "error of y_fit"),
    "flux_psf": ("electron", "flux by the profile"),
    "flux_err": ("electron", "error of flux_psf"),
    "flux_aper": ("electron", "flux in the aperture, without the sky"),
    "flux_aper_err": ("electron", "error of flux_aper"),
    "group_flux_err": ("electron", "error of the sum of the fluxes of the group"),
    "ratio_flux": ("1", "flux_psf over flux_aper"),
    "local_bkg": ("electron", "sky in a pixel at the source"),
    "id": ("1", "number of the source in the order of detection, from 1"),
    "iter_detected": ("1", "iteration in which the source was found, from 1"),
    "npixfit": ("1", "good pixels that were fitted"),
    "qfit": ("1", "sum of the sizes of the residuals over the flux"),
    "cfit": ("1", "residual of the central pixel over the flux"),
    "ra": ("deg", "right ascension, ICRS"),
    "dec": ("deg", "declination, ICRS"),
    "mag": ("mag", "instrumental magnitude, -2.5 log10(flux_psf / exptime)"),
    "mag_err": ("mag", "error of mag"),
    "object": ("", "OBJECT of the header"),
    "filter": ("", "filter of the header"),
    "time": ("d", "mid-exposure, MJD in UTC"),
    "exptime": ("s", "exposure"),
    "airmass": ("1", "airmass of the header"),
    "fwhm": ("pixel", "full width at half maximum of the stars"),
    "background": ("electron", "median of the sky"),
    "noise": ("electron", "standard deviation of a pixel of sky"),
    "wcs": ("", "where the sky position is from"),
}


def photometry_all(
    maindir: str | Path,
    use_table: bool = False,
    excl_files: Sequence[str] | str = (),
    excl_objs: Sequence[str] | str = (),
    excl_filts: Sequence[str] | str = (),
    thresh: float = 8.0,
    group: bool = False,
    mode: str = "all",
    fittype: str = "circ",
    plot_final: bool = False,
    plot_inters: bool = False,
    *,
    cluster: ClusterConfig | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Make a catalogue of every reduced frame of a night.

    Parameters
    ----------
    maindir : path-like
        Of the night; frames are in ``reduced/OBJECT_FILTER/dNNNN_red.fits``.
    use_table : bool
        Leave out the frames that are commented out in ``photometry_files.tbl``.
    excl_files, excl_objs, excl_filts : sequence of str, or str
        Parts of file stems, objects, filters that are left out; capitals and blanks do not count.
    thresh : float
        Of detection, in standard deviations of the background.
    group : bool
        One row a group of sources: fluxes are summed, positions and quality are averaged by flux, flags are joined.
    mode : {"all", "new"}
        Whether later iterations fit all sources or the new ones.
    fittype : {"circ", "ellip"}
        Shape of the Moffat profile.
    plot_final, plot_inters : bool
        Plots of the sources with fluxes, and of the sources first found with their groups.
    cluster : ClusterConfig, optional
        Where frames are measured; auto if not given.
    again : bool
        Measure all frames once more. Without it only frames that are new or have changed, or whose astrometric solution
        has, are measured; and all of them where the settings are other ones than last time.
    progress : Progress, optional
        Who is told how far the run is.

    Returns
    -------
    list of Path
        The tables, in the order of folders and names: ``photometric/unconsolidated/OBJECT_FILTER/dNNNN_photsrcs.csv``, or
        ``photometric/consolidated/…_photsrcs_consol.csv``. All of them are in ``photometric/unconsolidated.zarr`` (or
        ``consolidated.zarr``) too: see `tsogrid.survey.open_catalogues`.

    Raises
    ------
    InputError
        There are no frames, or all are left out.
    RunError
        Some frames could not be measured; the tables of all others are there.
    ConfigError, StoreError
        A setting is none; the folder cannot be written.
    """
    root = Path(maindir).resolve()
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of a night, found none.")
    if not os.access(root, os.W_OK):
        raise StoreError(f"{root}: expected a folder that can be written: the tables go there.")
    settings = PsfSettings(thresh=thresh, mode=mode, fittype=fittype)  # type: ignore[arg-type]  # it refuses others
    with logged_to(root / LOG_FILE):
        LOG.info("photometry of %s: thresh %g, fittype %s, mode %s, group %s", root, thresh, fittype, mode, group)
        try:
            frames = choose(root, use_table, *(_names(names) for names in (excl_files, excl_objs, excl_filts)))
            plots = {"sources": plot_final, "groups": plot_inters}
            paths = _measure(root, frames, settings, group, plots, cluster or AutoCluster(), again, progress or Silent())
        except Exception as error:
            LOG.debug("%s: %s", type(error).__name__, error)  # the console has it from whoever catches it
            raise
        LOG.info("%d tables are in %s", len(paths), root / FOLDER / KINDS[group][0])
    return paths


def _names(names: Sequence[str] | str) -> list[str]:
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _measure(
    root: Path,
    frames: list[FrameFile],
    settings: PsfSettings,
    group: bool,
    plots: dict[str, bool],
    cluster: ClusterConfig,
    again: bool,
    progress: Progress,
) -> list[Path]:
    kind, end, name = KINDS[group]
    folder = root / FOLDER
    tables = _outputs(frames, folder / kind, end)
    pictures = {what: _outputs(frames, folder / "plots" / kind, f"_{what}.png") if do else {} for what, do in plots.items()}
    folder.mkdir(exist_ok=True)
    solutions = find_solutions(root, frames)
    task = FrameTask(settings, group, solutions, _texts(pictures["sources"]), _texts(pictures["groups"]), str(root))
    identity = {"pipeline": "nickel", "group": group, "settings": _plain(asdict(settings))}
    mode = _mode(folder / name, identity, again)
    failure = None

    def done(path: str, catalogue: Catalogue) -> None:
        write_table(tables[path], catalogue)
        also = f" ({catalogue.message})" if catalogue.message else ""
        LOG.info("%s: %d sources, FWHM %.2f%s", Path(path).name, len(catalogue), catalogue.image["fwhm"], also)

    try:
        measure_images(
            list(tables),
            task,
            folder / name,
            identity=identity,
            cluster=cluster,
            mode=mode,
            others="drop",
            beside=solutions,
            words=WORDS,
            progress=progress,
            done=done,
        )
    except RunError as error:
        failure = error
    written = _complete(folder / name, tables, pictures, task)
    show([path for path in (*pictures["sources"].values(), *pictures["groups"].values()) if path.exists()])
    if failure is not None:
        raise failure
    return written


def _outputs(frames: list[FrameFile], folder: Path, end: str) -> dict[str, Path]:
    """Path of each frame → where something of it goes; two frames of one number have their whole stems."""
    result: dict[str, Path] = {}
    for frame in frames:
        path = folder / frame.folder / f"{frame.number}{end}"
        if path in result.values():
            path = path.with_name(f"{frame.key[1]}{end}")
        result[str(frame.path)] = path
    return result


def _texts(paths: dict[str, Path]) -> dict[str, str]:
    return {frame: str(path) for frame, path in paths.items()}


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _mode(store: Path, identity: dict[str, Any], again: bool) -> Mode:
    """As pipnick does, other settings replace the tables: what differs is said."""
    if not store.exists():
        return "run"
    differences = difference(attributes_of(store)["identity"], identity)
    if differences:
        LOG.info("other settings than last time, all frames are measured again: %s", "; ".join(differences))
    return "overwrite" if differences or again else "run"


def _complete(store: Path, tables: dict[str, Path], pictures: dict[str, dict[str, Path]], task: FrameTask) -> list[Path]:
    """Write what is missing of frames that were measured before, and give the tables that are there."""
    with open_catalogues(store) as catalogues:
        paths, flags = (catalogues[name].to_numpy().tolist() for name in ("path", "image_flags"))
        numbers = {str((store.parent / path).resolve()): number for number, path in enumerate(paths)}
        written = []
        for frame, table in tables.items():
            number = numbers[str(Path(frame).resolve())]
            if flags[number] & int(SET_ASIDE):
                table.unlink(missing_ok=True)  # of the frame as it was before it was broken
                continue
            if not table.exists():
                write_table(table, catalogue_of(catalogues, number))
            if any(frame in plots and not plots[frame].exists() for plots in pictures.values()):
                task(frame)
            written.append(table)
    return written
