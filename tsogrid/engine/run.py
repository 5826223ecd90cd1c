"""A run: connect, open, measure, write what is missing, open.

`run` is the whole of it; the rest of this page is what its sentence needs.
"""

import json
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import xarray as xr

from tsogrid.config import Config
from tsogrid.engine import cluster, store
from tsogrid.engine.after_death import child_where_due, planned, trial_in
from tsogrid.engine.diagnostics import require_frames
from tsogrid.engine.execute import execute
from tsogrid.engine.extension import Extension, extended, extension
from tsogrid.engine.given_note import outdated
from tsogrid.engine.identity import check_identity
from tsogrid.engine.lock import locked
from tsogrid.engine.log import tell
from tsogrid.engine.on_cluster import tried_on
from tsogrid.engine.ownership import claim
from tsogrid.engine.performance import reported, require_workers
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.place import Folder, Place, local_path, place_of
from tsogrid.engine.plan import Plan, make_plan
from tsogrid.engine.positions import gathered, series_positions
from tsogrid.engine.setting_aside import SetAside, joined, refusal
from tsogrid.engine.shard_work import Listener
from tsogrid.engine.status import Course, noted
from tsogrid.engine.stopping import WhileHeld, giving_up
from tsogrid.engine.trial import estimated
from tsogrid.errors import ConfigError, StoreError
from tsogrid.field.listing import with_listed_sources
from tsogrid.field.selection import frames_containing
from tsogrid.io.frames import open_frames
from tsogrid.io.freed import give_back

Mode = Literal["run", "resume", "overwrite", "extend"]


class Progress(Protocol):
    """Who is told how far a run is."""

    def begin(self, total: int, done: int) -> None:
        """A run of ``total`` frames (times passes) begins, ``done`` of them measured before."""

    def advance(self, frames: int) -> None:
        """So many more frames are measured."""

    def say(self, message: str) -> None:
        """Something the user should know."""


class Silent:
    """The progress that nobody watches."""

    def begin(self, total: int, done: int) -> None:
        pass

    def advance(self, frames: int) -> None:
        pass

    def say(self, message: str) -> None:
        pass


def run(
    config: Config,
    *,
    mode: Mode = "run",
    progress: Progress | None = None,
    performance_report: str | Path | None = None,
    changed: Collection[str] = (),
) -> xr.Dataset:
    """Measure the frames of a configuration and keep the result in a store.

    Parameters
    ----------
    config : Config
        With ``input.files`` and ``output.store``.
    mode : {"run", "resume", "overwrite", "extend"}
        ``run`` makes the store, or goes on with a store of the same run; ``resume`` demands that it exists; ``overwrite``
        replaces it; ``extend`` also measures frames that were added.
    progress : Progress, optional
        Who is told how far the run is.
    performance_report : path-like, optional
        Where dask's report of the run is written, an HTML page; the work is then done on a cluster.
    changed : collection of str
        For ``extend``: base names of files whose pixels have changed since they were measured, under the same header.

    Returns
    -------
    Dataset
        The opened result.

    Raises
    ------
    TsogridError
        What was expected, what was found and what to do; what is measured already is safe.
    """
    progress = progress or Silent()
    path = store_place(config)
    with locked(path) as held, child_where_due(path, held, progress.say) as child:
        progress = WhileHeld(progress, held)
        plan = planned(plan_of, config, child)
        give_back()  # of a long series, tens of megabytes
        for line in plan.detector.lines if plan.detector is not None else ():
            progress.say(f"calibration: {line}")
        with path.told():
            path.recover()
            found, kept = _existing(path, plan, mode, changed)
            # A store that goes on as it is needs no trial to be laid out: one that is complete needs no workers either.
            target = None
            if found is not None and _stays(found, kept, mode):
                target = _laid_out(path, plan.with_block(found.block), found, kept, mode, progress)
            is_complete = target is not None and not any(store.pending(target, index) for index in range(target.passes))
        if target is not None and is_complete:
            progress.begin(target.passes * target.n_frames, target.passes * target.n_frames)
            progress.say(f"{target.path} is complete: nothing to do.")
            return store.open_result(path)
        with ExitStack() as stack:

            def connected(kind: str, blocks: int = 1_000_000) -> Any:
                client = stack.enter_context(cluster.connect(config.cluster, kind, blocks, local_path(path)))
                for line in cluster.told_of(client, config.cluster) if client else []:
                    progress.say(line)
                return client

            elsewhere = cluster.kind_elsewhere(config.cluster)
            client = None if elsewhere is None else connected(elsewhere)
            kind = elsewhere
            if target is None or kind is None:
                measure = trial_in(child) if client is None else partial(tried_on, client)
                estimate = estimated(plan, config, None if mode == "overwrite" else found, progress.say, measure)
                kind = estimate.kind
            if performance_report is not None:
                kind = require_workers(config.cluster, kind)
            if target is None:
                with path.told():
                    target = _laid_out(path, plan.with_block(estimate.block), found, kept, mode, progress)
            plan = plan.with_block(target.block).laid_out()
            give_back()
            if elsewhere is None:
                client = connected(kind, len(plan.bounds))
            target = replace(target, token=claim(target.place))
            with noted(target, kind) as course, reported(client, performance_report):
                known = measure_missing(plan, target, client or child, progress, course)
                path.tidy()  # what workers left that died
                if known:
                    raise refusal(known, target.path)
    return store.open_result(path)


def plan_of(config: Config) -> Plan:
    """Plan the measurement of a configuration's frames."""
    return prepared(config)[1]


def prepared(config: Config, keep: bool = True) -> tuple[xr.Dataset, Plan]:
    """Open the frames of a configuration and plan their measurement; `keep` says whether masters made now are kept."""
    if not config.input.files:
        raise ConfigError("input.files: expected paths or a glob of the frames, found none.")
    frames = open_frames(config.observed)
    if not config.sources and config.center.position != "file" and _are_single_frames(frames):
        raise ConfigError(
            "sources: expected at least one star over single-frame files, found none. "
            "Give each a name and its x, y (0-based pixels) or ra, dec."
        )
    config = with_listed_sources(config, frames)
    frames = frames_containing(frames, config)
    block = None if config.output.block == "auto" else config.output.block
    plan = make_plan(frames, config, block, keep=keep)
    require_frames(plan, config.output.diagnostics)  # now, and not after hours of measuring
    return frames, plan


def _are_single_frames(frames: xr.Dataset) -> bool:
    """Whether each frame is a file of its own: then nothing says which of its stars is meant."""
    return frames.attrs.get("reader") == "fits" and len(json.loads(frames.attrs["inputs"])) == frames.sizes["time"]


def store_place(config: Config) -> Place:
    """Give the place of the store; its folder or bucket must exist."""
    if config.output.store is None:
        raise ConfigError("output.store: expected the path of the result, found none. Give it here or with --store.")
    place = place_of(config.output.store, config.output.storage)
    if isinstance(place, Folder):
        place = Folder(place.path.resolve())  # a link stays a link, and its store has one lock
    place.require()
    return place


def _existing(path: Place, plan: Plan, mode: Mode, changed: Collection[str]) -> tuple[store.Store | None, Extension | None]:
    """The store that is there, if this run may go on with it, and what of it an extension takes over."""
    found = store.existing(path)
    if mode == "resume" and found is None:
        raise StoreError(f"{path}: --resume expects a store, found nothing. Run without it to begin.")
    if mode == "extend" and found is not None:
        return found, extension(path, plan, changed)
    if mode != "overwrite" and found is not None:
        check_identity(path, plan)
    return found, None


def _stays(found: store.Store, kept: Extension | None, mode: Mode) -> bool:
    """Whether a run goes on with a store as it is laid out."""
    return mode != "overwrite" and (kept is None or (kept.frames >= found.n_frames and not kept.added))


def _laid_out(
    path: Place, plan: Plan, found: store.Store | None, kept: Extension | None, mode: Mode, progress: Progress
) -> store.Store:
    """The store that the run writes into: the one that is there, or a new one."""
    if found is None or mode == "overwrite":
        return store.prepare(path, plan)
    found.place.tidy()
    store.show_as(found, plan.config.plot.model_dump(exclude_none=True))
    for line in store.verify(found, plan):
        progress.say(f"damaged in the store, measured again: {line}")
    if kept is not None and not _stays(found, kept, mode):
        for note in kept.notes:
            progress.say(note)
        return extended(found, plan, kept.frames)
    return found


def measure_missing(
    plan: Plan, target: store.Store, client: Any | None, progress: Progress, course: Course | None = None
) -> list[SetAside]:
    """Measure and write every shard that is not marked whole, pass by pass; give what had to be set aside."""
    course = course or Course(target)
    with target.place.told():
        missing = [store.pending(target, index) for index in range(target.passes)]
    total = target.passes * target.n_frames
    left = sum(stop - start for shards in missing for start, stop in map(target.bounds, shards))
    progress.begin(total, total - left)
    of_all, to_do = target.passes * target.n_shards, sum(map(len, missing))
    if to_do < of_all:
        progress.say(f"going on: {of_all - to_do} of {of_all} shards are done, {to_do} to measure")
    fields: dict[str, Any] = {
        "store": str(target.path),
        "frames": target.n_frames,
        "passes": target.passes,
        "block": target.block,
    }
    tell("begin", f"{left} of {total} frames are to be measured", missing=left, shard=target.shard, **fields)
    known: list[SetAside] = []
    for index in range(target.passes):
        given: Arrays = {}
        if index and any(missing):
            with target.place.told():
                given = _positions(plan, target, index)
                if outdated(target, index, given):
                    progress.say(
                        "positions of the series have changed, since files were mended: its frames are measured again"
                    )
                missing[index] = store.pending(target, index)
        if not missing[index]:
            continue

        def part(start: int, stop: int, given: Arrays = given) -> Arrays | None:
            return {name: values[start:stop] for name, values in given.items()} or None

        listener = Listener(progress.advance, progress.say, giving_up(target, course.failed))
        known = execute(plan, target, index, missing[index], part, client, listener, known)
        course.set_aside(joined(known))
    return known


def _positions(plan: Plan, target: store.Store, index: int) -> Arrays:
    """Make the positions for a pass from what the passes before have stored."""
    stage = plan.passes[index][0]
    stored = target.variables()
    measured = {name: np.asarray(stored[name][:]) for name in gathered(plan.recipe, stage)}
    return series_positions(plan.recipe, stage, measured, plan.sources.planned)
