"""The identity of a run: the scientific configuration and the inputs, and what to say when two runs differ.

Where files lie, how blocks are cut and which cluster measures them are outside the identity: they change no number.
"""

import json
from pathlib import Path
from typing import Any

from tsogrid.engine.bucket import Bucket
from tsogrid.engine.place import ROOT, Place, place_of
from tsogrid.engine.plan import Plan
from tsogrid.errors import IdentityError, StoreError


def identity_of(where: str | Path | Place) -> dict[str, Any] | None:
    """Read the identity of a store; None where nothing stands.

    Raises
    ------
    StoreError
        Something else than a tsogrid store stands there, or the place cannot be reached.
    """
    place = place_of(where)
    if isinstance(place, Bucket):
        with place.told():
            return _identity(place)
    return _identity(place)


def _identity(place: Place) -> dict[str, Any] | None:
    """The root is looked for first: in a bucket it alone says whether a store stands there."""
    try:
        content = json.loads(place.read(ROOT))
        attributes = content["attributes"]
        return {"identity": json.loads(attributes["identity"]), "layout": json.loads(attributes["layout"])}
    except FileNotFoundError:
        if not place.exists():
            return None
    except place.unreachable:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if isinstance(place, Bucket) and place.is_being_replaced():
        raise StoreError(f"{place}: a new store is on its way here. Look again; if its run has died, run again: it goes on.")
    raise StoreError(
        f"{place}: expected a tsogrid store or nothing, found something else. Nothing was changed. Choose another --store."
    )


def check_identity(path: str | Path | Place, plan: Plan) -> None:
    """Refuse a store that holds another run.

    Raises
    ------
    IdentityError
        With each difference.
    """
    found = identity_of(path)
    differences = difference(found["identity"] if found else {}, plan.identity())
    if differences:
        raise IdentityError(
            f"{path} holds another run; nothing was changed. It differs in:\n"
            + "\n".join(f"  {line}" for line in differences)
            + "\nChoose another --store, or replace it with --overwrite"
            + (" (--extend measures files that were added)." if _grew(found, plan) else ".")
        )


def _grew(found: dict[str, Any] | None, plan: Plan) -> bool:
    old, new = (found or {}).get("identity", {}), plan.identity()
    return old.get("config") == new["config"] and new["frames"] > old.get("frames", 0)


def difference(old: Any, new: Any, where: str = "") -> list[str]:
    """List where two nested structures differ, one line a place."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted({*old, *new}):
            lines += difference(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
        return lines
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list) and where == "inputs":
        return _changed_inputs(old, new)
    return [f"{where}: {json.dumps(old)} in the store, {json.dumps(new)} now"]


def _changed_inputs(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    """Say which input files differ; files of several folders may share a name."""
    before, after = ([tuple(sorted(item.items())) for item in items] for items in (old, new))
    gone = [dict(item)["name"] for item in before if item not in after]
    come = [dict(item)["name"] for item in after if item not in before]
    lines = [
        f"input files {what}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for what, names in (
            ("gone", [name for name in gone if name not in come]),
            ("new", [name for name in come if name not in gone]),
            ("changed", [name for name in come if name in gone]),
        )
        if names
    ]
    return lines or ["input files in another order, or one of them more than once"]
