"""What of a store stays when frames have come: the frames that a fresh run would measure with the same numbers.

Both series are followed from their first frame to the first one that differs (a file that has come before others, or has
changed): up to there every frame is the same, and so are its numbers. What lies behind is measured again. A file that was
measured and is gone is no extension, and is refused.
"""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr

from tsogrid import schema
from tsogrid.engine.identity import difference, identity_of
from tsogrid.engine.layout import chunk_key
from tsogrid.engine.marks import WHOLE
from tsogrid.engine.place import Place, place_of
from tsogrid.engine.plan import Plan
from tsogrid.engine.plan_identity import FRAMES_A_HASH, input_name, position_hashes
from tsogrid.engine.store import MOST_SHARDS, Store, prepare, shard_length, write
from tsogrid.errors import IdentityError

FRAMES_AT_ONCE = 50_000  # whose names are compared at a time
# What the frames say and not the user: where it differs nothing can stay, but nothing is wrong.
_OF_THE_FRAMES = ("config.center.sources_hash", "config.center.pattern_hash", "reading")


@dataclass(frozen=True)
class Extension:
    """What an extension may take over.

    Parameters
    ----------
    frames : int
        So many frames from the first on are as they were; those that a filter along time reaches are not yet left out.
    added : int
        Frames that are new or changed.
    notes : tuple of str
        Why frames that were measured are measured again.
    """

    frames: int
    added: int
    notes: tuple[str, ...] = ()


def extension(path: Path | Place, plan: Plan, changed: Collection[str] = ()) -> Extension:
    """Say what of a store stays.

    Parameters
    ----------
    path : Path or place
        An existing store.
    plan : Plan
        What is to be measured now.
    changed : collection of str
        Base names of files whose pixels have changed since they were measured, though their headers have not.

    Returns
    -------
    Extension

    Raises
    ------
    IdentityError
        The store holds another run, or a file that it holds is gone.
    """
    found = identity_of(path)
    old, new = (found or {}).get("identity", {}), plan.identity()
    lines = difference(old["config"], new["config"], "config") + difference(old.get("reading"), new["reading"], "reading")
    of_frames = [line for line in lines if line.startswith(_OF_THE_FRAMES)]
    others = [line for line in lines if line not in of_frames]
    if others:
        raise IdentityError(f"{path} holds another run; --extend adds files only. It differs in:\n  " + "\n  ".join(others))
    _refuse_gone(path, old["inputs"], new["inputs"])
    same = _same_frames(path, plan, old["inputs"], new["inputs"], changed)
    added = max(new["frames"] - same, 0)
    notes = []
    if of_frames:
        notes.append(f"the new frames change how all are measured ({'; '.join(of_frames)}): all are measured again")
        same = 0
    elif same < old["frames"]:
        notes.append(
            f"files have come before frame {same} of {old['frames']}, or have changed there: the frames from it on are "
            "measured again"
        )
    kept = _same_positions(path, plan, old, same)
    if kept < same:
        notes.append(f"planned positions have changed from frame {kept} on: the frames from it on are measured again")
    return Extension(kept, added, tuple(notes))


def _key(item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(item.items()))


def _refuse_gone(path: Path | Place, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    """Refuse where fewer files of a name are there than were measured; a file of the same name may have changed."""
    missing = Counter(item["name"] for item in old) - Counter(item["name"] for item in new)
    if missing:
        names = sorted(missing)
        raise IdentityError(
            f"{path}: --extend adds files, and of those that are measured already some are gone: {', '.join(names[:5])}"
            f"{' …' if len(names) > 5 else ''}. Put them back, or measure what is there with --overwrite."
        )


def _same_frames(
    path: Path | Place, plan: Plan, old: list[dict[str, Any]], new: list[dict[str, Any]], changed: Collection[str]
) -> int:
    """Count the frames, from the first on, that are the same integration of the same file."""
    equal = 0
    while equal < min(len(old), len(new)) and _key(old[equal]) == _key(new[equal]):
        equal += 1
    behind = {item["name"] for item in (*old[equal:], *new[equal:])} | {input_name(plan.config, name) for name in changed}
    with xr.open_zarr(place_of(path).zarr(), consolidated=True) as stored:
        now = plan.template()
        count = min(stored.sizes["time"], now.sizes["time"])
        for first in range(0, count, FRAMES_AT_ONCE):
            some = slice(first, min(first + FRAMES_AT_ONCE, count))
            (files, numbers), (its_files, its_numbers) = _frames(stored, some), _frames(now, some)
            other = (files != its_files) | (numbers != its_numbers) | [file in behind for file in files]
            if other.any():
                return first + int(np.argmax(other))
    return count


def _frames(coordinates: xr.Dataset, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """Names of files and numbers of integrations of some frames."""
    chosen = coordinates.isel(time=some)
    count = chosen.sizes["time"]
    files = chosen["file"].to_numpy().astype(object) if "file" in chosen.coords else np.full(count, "", object)
    numbers = chosen["integration"].to_numpy() if "integration" in chosen.coords else np.arange(some.start, some.stop)
    return files, numbers


def _same_positions(path: Path | Place, plan: Plan, old: dict[str, Any], same: int) -> int:
    """Count the frames, of those that are the same, whose planned positions are too, as far as their hashes tell.

    Raises
    ------
    IdentityError
        A file that the user has written gives other positions now.
    """
    before, now = old["positions"], position_hashes(plan, old["frames"] if same >= old["frames"] else None)
    if not before and not now:
        return same
    equal = 0
    while equal < min(len(before), len(now)) and before[equal] == now[equal]:
        equal += 1
    kept = min(same, equal * FRAMES_A_HASH)
    whole = same // FRAMES_A_HASH if same < old["frames"] else len(before)
    if equal < whole and (plan.config.center.position == "file" or plan.config.center.drift is not None):
        raise IdentityError(
            f"{path} holds another run; --extend adds files only. It differs in:\n  positions: the file's rows for frames "
            f"{equal * FRAMES_A_HASH} … {min(same, (equal + 1) * FRAMES_A_HASH) - 1} have changed"
        )
    return kept


def extended(keep: Store, plan: Plan, frames: int) -> Store:
    """Lay out a store anew over one that is there, and take over whole shards of what stays.

    Parameters
    ----------
    keep : Store
        The store that is there; the new one takes its place.
    plan : Plan
        What is to be measured now.
    frames : int
        So many frames from the first on are as they were.

    Returns
    -------
    Store
        With the shards marked that are taken over. More than one pass depends on all frames: nothing is, then.
    """
    reach = frames - plan.halo  # beyond, frames have other neighbours than before

    def fill(store: Store) -> None:
        if store.passes == 1:
            _take_over(keep, store, reach)

    return prepare(keep.place, plan, _layout_of(keep, plan), fill)


def _layout_of(keep: Store, plan: Plan) -> tuple[int, int]:
    """Block and shard of a store that goes on: its own, until frame after frame has made it many small shards."""
    if math.ceil(plan.n_frames / keep.shard) <= 2 * MOST_SHARDS:
        return keep.block, keep.shard
    return keep.block, keep.shard * max(1, shard_length(plan, keep.block) // keep.shard)


def _take_over(keep: Store, store: Store, frames: int) -> None:
    """Take the shards over whose frames are all among the first so many: linked, or written anew where shards are longer."""
    done = np.asarray(keep.marks()[0]) == WHOLE
    ratio = store.shard // keep.shard
    whole = [shard for shard in range(max(0, frames) // store.shard) if done[shard * ratio : (shard + 1) * ratio].all()]
    variables = {name: array for name, array in keep.variables().items() if name in schema.BY_NAME}
    place, kept = cast(Any, store.place), keep.place  # of one kind: the one lies beside the other
    for shard in whole:
        if ratio > 1:
            start, stop = store.bounds(shard)
            write(store, 0, shard, [{name: np.asarray(array[start:stop]) for name, array in variables.items()}])
            continue
        place.take(kept, [chunk_key(name, shard, array.ndim) for name, array in variables.items()])
        place.take(kept, [f"progress/done/c.0.{shard}"])
        place.take(kept, [f"progress/blocks/c.0.{shard}.0"], missing=True)  # an older version kept other times
