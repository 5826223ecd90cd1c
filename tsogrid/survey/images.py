"""Every image a catalogue: images are tasks over a cluster, and their catalogues land in one store.

An image that cannot be measured is named, flagged and set aside; all others are done. A catalogue that has arrived is on the
disk before it counts, and the order in which catalogues arrive changes nothing: rows stand in the order of the images.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dask
import xarray as xr

from tsogrid.config import AutoCluster, ClusterConfig
from tsogrid.engine import cluster as clusters
from tsogrid.engine.identity import difference
from tsogrid.engine.lock import locked
from tsogrid.engine.log import tell
from tsogrid.engine.place import place_of
from tsogrid.engine.run import Progress, Silent
from tsogrid.errors import IdentityError, InputError, RunError, StoreError
from tsogrid.flags import SET_ASIDE
from tsogrid.survey.catalogue import Catalogue, Task, open_catalogues
from tsogrid.survey.image_tasks import Beside, Outcome, each_here, each_on
from tsogrid.survey.pieces import Input, Pieces, input_of
from tsogrid.survey.ragged import Entry, Held, Words, assemble, held

Mode = Literal["run", "resume", "overwrite", "all"]
Done = Callable[[str, Catalogue], None]
SECONDS = 0.3  # of CPU that an image is taken to cost, where the kind of cluster is to be chosen
DEATHS = 0  # of workers that are forgiven an image at first; it is tried once more, alone
LISTED = 20  # failures that an error names


@dataclass
class _Survey:
    """What a run knows of its images.

    Parameters
    ----------
    store : Path
        Where the catalogues go.
    before : Held or None
        What the store held when the run began.
    images : dict
        Path as given → the image.
    done : callable or None
        Told of each catalogue.
    failed : dict
        Flags and message of the images that were set aside.
    columns : list of str or None
        The names that all catalogues share.
    """

    store: Path
    before: Held | None
    images: dict[str, Input]
    done: Done | None
    failed: dict[Input, tuple[int, str]] = field(default_factory=dict)
    columns: list[str] | None = None

    def take(self, path: str, outcome: Outcome) -> None:
        """Keep what became of an image."""
        # The state that was read: the file may have been replaced since the list was made.
        image = Input(self.images[path].path, *outcome.state)
        self.images[path] = image
        catalogue = outcome.catalogue
        if catalogue is not None:
            names = sorted(catalogue.columns)
            self.columns = self.columns or names
            if names != self.columns:
                raise RunError(f"{path}: expected the columns {self.columns} that other images have, found {names}.")
            if self.done is not None:
                self.done(path, catalogue)  # before the mark: what it writes is there when the image counts as done
            Pieces(self.store).keep(image, catalogue)
            tell("image", f"{path}: {len(catalogue)} rows", logging.DEBUG, image=path, rows=len(catalogue))
        else:
            self.failed[image] = (int(outcome.flag), outcome.message)
            tell("failed", f"{path} could not be measured: {outcome.message}", logging.ERROR, image=path)


def measure_images(
    paths: Sequence[str | Path],
    task: Task,
    store: str | Path,
    *,
    identity: Mapping[str, Any],
    cluster: ClusterConfig | None = None,
    mode: Mode = "run",
    others: Literal["keep", "drop"] = "keep",
    beside: Mapping[str, Sequence[str]] | None = None,
    words: Words | None = None,
    progress: Progress | None = None,
    done: Done | None = None,
) -> xr.Dataset:
    """Make a catalogue of every image, and keep them all in one store.

    Parameters
    ----------
    paths : sequence of path-like
        The images. Rows of the result stand in this order.
    task : Task
        Makes the catalogue of one image; it can be pickled.
    store : path-like
        A zarr folder; the folder that it is in exists.
    identity : dict
        What decides the numbers, as JSON: the pipeline and its settings.
    cluster : ClusterConfig, optional
        Where images are measured; auto if not given.
    mode : {"run", "resume", "overwrite", "all"}
        ``run`` measures the images that are new, have changed or could not be measured before; ``resume`` demands that the
        store exists; ``all`` measures all that are listed once more; ``overwrite`` replaces the store.
    others : {"keep", "drop"}
        What becomes of images in the store that are not listed. Kept, they come first, and new images follow them.
    beside : dict, optional
        Path as listed → other files that its catalogue is made from: where one of them is new or changes, the image is
        measured again.
    words : dict, optional
        Unit and meaning of each column and fact.
    progress : Progress, optional
        Who is told how far the run is.
    done : callable, optional
        Told the path and the catalogue of each image, in this process, before the image is marked as done; after a kill it
        may be told again of an image, never too seldom.

    Returns
    -------
    Dataset
        See `tsogrid.survey.catalogue.open_catalogues`.

    Raises
    ------
    IdentityError
        The store was made with other settings; the difference is in the message.
    RunError
        Some images could not be measured; all others are in the store, and these are there with their flags.
    StoreError, InputError
        Another run writes the store, the disk is full, no images, or one is listed twice.
    """
    place = Path(store).resolve()
    names = _listed(paths)
    if not place.parent.is_dir():
        raise StoreError(f"{place}: expected an existing folder, found none at {place.parent}. Make it, or choose another.")
    with locked(place):
        place_of(place).recover()
        near = {os.path.abspath(path): [str(each) for each in files] for path, files in (beside or {}).items()}
        survey = _Survey(
            place, _laid_out(place, dict(identity), mode), {n: input_of(n, place, near.get(n, ())) for n in names}, done
        )
        missing = _missing(survey, mode)
        progress = progress or Silent()
        progress.begin(len(names), len(names) - len(missing))
        if missing:
            _measure(missing, near, task, survey, cluster or AutoCluster(), progress)
        entries = _entries(survey, others)
        if missing or _differs(entries, survey.before):
            assemble(place, dict(identity), entries, survey.before, words or {})
        else:
            progress.say(f"{place} is complete: nothing to do.")
    _raise_failures(survey)
    return open_catalogues(place)


def _listed(paths: Sequence[str | Path]) -> list[str]:
    names = [str(path) if "://" in str(path) else os.path.abspath(path) for path in paths]
    if not names:
        raise InputError("expected at least one image, found none.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{twice[0]}: expected each image once, found it twice.")
    return names


def _laid_out(store: Path, identity: dict[str, Any], mode: Mode) -> Held | None:
    """What the store holds that stays; where there is none, an empty one is made, in which catalogues can be kept."""
    before = held(store) if mode != "overwrite" else None
    if before is None:
        if mode == "resume":
            raise StoreError(f"{store}: expected a store to go on with, found nothing. Run without resuming to begin.")
        if mode == "overwrite":
            held(store)  # refuses what is no store of catalogues
        assemble(store, identity, [], None, {})
        return held(store)
    differences = difference(before.identity, identity)
    if differences:
        raise IdentityError(
            f"{store} holds catalogues that were made otherwise; nothing was changed. It differs in:\n"
            + "\n".join(f"  {line}" for line in differences)
            + "\nChoose another store, or replace it with --overwrite."
        )
    return before


def _missing(survey: _Survey, mode: Mode) -> list[str]:
    """The images without a catalogue, in order."""
    pieces = Pieces(survey.store)
    if mode == "all":
        pieces.forget()
        return list(survey.images)
    there = pieces.kept(survey.images.values()) | {image for image, _ in _good(survey.before)}
    return [path for path, image in survey.images.items() if image not in there]


def _good(before: Held | None) -> list[tuple[Input, int]]:
    """The images whose catalogue a store holds, with their numbers."""
    if before is None:
        return []
    return [(image, number) for number, image in enumerate(before.inputs) if not before.flags[number] & int(SET_ASIDE)]


def _measure(
    missing: list[str], near: Beside, task: Task, survey: _Survey, config: ClusterConfig, progress: Progress
) -> None:
    kind = clusters.resolve_kind(config, SECONDS * len(missing))
    with _impatient(kind), clusters.connect(config, kind, len(missing), survey.store) as client:
        for line in clusters.told_of(client, config) if client else []:
            progress.say(line)
        tell("begin", f"{len(missing)} images are to be measured", missing=len(missing), store=str(survey.store))
        if client is None:
            outcomes = each_here(task, missing, near)
        else:
            outcomes = each_on(client, task, missing, near, clusters.n_workers(config, kind), config, progress.say)
        for path, outcome in outcomes:
            survey.take(path, outcome)
            progress.advance(1)


def _impatient(kind: str) -> AbstractContextManager[Any]:
    """Have schedulers that are started here give an image up with its first worker."""
    if kind == "none":
        return nullcontext()
    import distributed  # noqa: F401  # its defaults are loaded with it: they would take the place of what was set before

    return dask.config.set({"distributed.scheduler.allowed-failures": DEATHS})


def _entries(survey: _Survey, others: str) -> list[Entry]:
    """All images that the store is to hold, in order, and where each one's catalogue is."""
    pieces = Pieces(survey.store)
    numbers = dict(_good(survey.before))
    listed: dict[str, Entry] = {}
    for image in survey.images.values():
        if image in survey.failed:
            entry = Entry(image, failed=survey.failed[image])
        elif pieces.path(image).exists():  # newer than what is in the arrays
            entry = Entry(image)
        else:
            entry = Entry(image, held=numbers[image])
        listed[image.path] = entry
    if others == "drop" or survey.before is None:
        return list(listed.values())
    first = [listed.pop(image.path, Entry(image, held=number)) for number, image in enumerate(survey.before.inputs)]
    return [*first, *listed.values()]


def _differs(entries: list[Entry], before: Held | None) -> bool:
    return before is None or [entry.held for entry in entries] != list(range(len(before.inputs)))


def _raise_failures(survey: _Survey) -> None:
    if not survey.failed:
        return
    failed = [(path, survey.failed[image]) for path, image in survey.images.items() if image in survey.failed]
    lines = [f"  {path}: {message}" for path, (_, message) in failed]
    more = [f"  … and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    raise RunError(
        f"{len(lines)} of {len(survey.images)} images could not be measured; the catalogues of all others are in "
        f"{survey.store}. Mend or leave out these, and run again:\n" + "\n".join([*lines[:LISTED], *more])
    )
