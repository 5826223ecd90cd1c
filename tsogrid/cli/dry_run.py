"""What ``run --dry-run`` says: what a run would read, measure and write, and what that costs, without writing anything."""

from typing import TYPE_CHECKING

from tsogrid.cli.progress import duration, size

if TYPE_CHECKING:
    import xarray as xr

    from tsogrid.config import Config
    from tsogrid.engine.place import Place
    from tsogrid.engine.plan import Plan
    from tsogrid.engine.run import Mode
    from tsogrid.engine.store import Store

WORKER_BASE = 300e6  # bytes of a worker process before it has read a frame (libraries, compiled kernels)
COPIES = 4  # of a block's pixels while it is measured: read, decoded, calibrated, less the sky


def forecast(config: "Config", mode: "Mode") -> list[str]:
    """Say what a run would do.

    Parameters
    ----------
    config : Config
        Its configuration.
    mode : str
        As for `tsogrid.run`.

    Returns
    -------
    list of str
        Lines, one thing each.

    Raises
    ------
    TsogridError
        The run would be refused.
    """
    from tsogrid.engine.block_size import frames_in_memory
    from tsogrid.engine.plan_size import bytes_held
    from tsogrid.engine.run import prepared, store_place
    from tsogrid.engine.store import shard_length
    from tsogrid.engine.trial import estimated

    # Masters that no run has kept yet are made for the forecast, and not written.
    frames, plan = prepared(config, keep=False)
    path = store_place(config)
    with path.told():
        standing, found = _standing(path, plan, mode)
    cost = estimated(plan, config, found)
    shard = found.shard if found else shard_length(plan, cost.block)
    each = bytes_held(plan)
    held = cost.block + 2 * plan.halo if plan.halo else min(cost.block, frames_in_memory(each))
    memory = WORKER_BASE + COPIES * held * each
    passes = len(plan.passes)
    seconds = cost.cpu_seconds / cost.workers
    rows = [
        ("frames", f"{plan.n_frames} of {plan.shape[0]} × {plan.shape[1]} pixels (y × x)"),
        ("times", times_line(frames)),
        ("sources", _sources(plan)),
        ("register", plan.registration),
        ("apertures", ", ".join(label for aperture in config.apertures for label in aperture.labels)),
        ("skies", ", ".join(str(label) for label in plan.template()["sky"].to_numpy())),
        *(("calibrate", line) for line in (plan.detector.lines if plan.detector is not None else ())),
        ("windows", _windows(plan)),
        ("reads", f"{size(cost.bytes_per_frame)} a frame, {size(cost.bytes_per_frame * plan.n_frames * passes)} in all"),
        ("passes", f"{passes}: {'; '.join(' + '.join(stages) for stages in plan.passes)}"),
        ("blocks", f"{-(-plan.n_frames // cost.block)} of {cost.block} frames, in {-(-plan.n_frames // shard)} shards"),
        ("memory", f"about {size(memory)} a worker"),
        ("cluster", cost.kind + (f", {cost.workers} workers" if cost.kind != "none" else "")),
        ("cost", f"{1e3 * cost.seconds_per_frame:.3g} ms of CPU a frame, about {duration(seconds)} in all (measured here)"),
        ("store", f"{path} ({standing})"),
    ]
    return [*(f"{name:<10} {text}" for name, text in rows), "dry run: nothing was written"]


def times_line(frames: "xr.Dataset") -> str:
    """Say from when to when the frames are, and in which standard."""
    time = frames["time"]
    first, last = time.to_numpy()[[0, -1]]
    if time.attrs.get("units") != "d":
        return f"unknown: frames are numbered {first:g} … {last:g}"
    scale = str(time.attrs.get("scale", "")).upper()
    name = "BJD" if scale == "TDB" else "JD"
    return f"{name}_{scale} {first:.6f} … {last:.6f} ({duration(86400 * (last - first))})"


def _standing(path: "Place", plan: "Plan", mode: "Mode") -> tuple[str, "Store | None"]:
    """What stands where the store will be, refused as the run would refuse it."""
    from tsogrid.engine.extension import extension
    from tsogrid.engine.identity import check_identity, identity_of
    from tsogrid.engine.store import existing, pending
    from tsogrid.errors import StoreError

    if identity_of(path) is None:
        if mode == "resume":
            raise StoreError(f"{path}: --resume expects a store, found nothing. Run without it to begin.")
        return "new", None
    if mode == "overwrite":
        return "exists and would be replaced", None
    if mode == "extend":
        kept = extension(path, plan)
    else:
        check_identity(path, plan)
    found = existing(path)
    assert found is not None
    missing = len(pending(found, found.passes - 1))
    if mode == "extend" and kept.added:
        again = f", {found.n_frames - kept.frames} measured again" if kept.frames < found.n_frames else ""
        return f"exists with {found.n_frames} frames, {plan.n_frames - found.n_frames} would be added{again}", found
    return (f"exists, {missing} of {found.n_shards} shards are missing" if missing else "exists and is complete"), found


def _sources(plan: "Plan") -> str:
    import numpy as np

    middle = np.nanmedian(plan.sources.planned, axis=0)
    shown = [
        f"{name} at x = {x:.6g}, y = {y:.6g}{'' if role == 'target' else f' ({role})'}"
        for name, role, (x, y) in zip(plan.sources.names[:8], plan.sources.roles, middle, strict=False)
    ]
    more = len(plan.sources.names) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _windows(plan: "Plan") -> str:
    shown = [
        f"rows {each.y0} … {each.y1 - 1}, columns {each.x0} … {each.x1 - 1}"
        + (f" ({len(each.sources)} sources)" if len(each.sources) > 1 else "")
        for each in plan.windows[:6]
    ]
    more = len(plan.windows) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
