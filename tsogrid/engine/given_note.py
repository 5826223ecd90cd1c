"""What a later pass was given, noted: positions of the series change where a file that could not be read was mended.

All frames of a later pass are measured with one set of positions. A digest of them lies in the store; where it is no longer
that of the positions as they would be made now, what the pass has written is measured again.
"""

import hashlib

from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.store import Store


def outdated(store: Store, index: int, given: Arrays) -> bool:
    """Take the marks off a pass that was given other positions, and note those of now.

    Parameters
    ----------
    store : Store
        A laid-out store; the caller holds its lock.
    index : int
        Which pass.
    given : dict of ndarray
        Positions of the whole series.

    Returns
    -------
    bool
        Whether there were others before.
    """
    digest = hashlib.sha256()
    for name in sorted(given):
        digest.update(name.encode() + given[name].tobytes())
    now, note = digest.hexdigest().encode(), f"progress/given.{index}"
    try:
        before = store.place.read(note)
    except FileNotFoundError:
        before = b""
    if before == now:
        return False
    if before:
        # On the disk before the note is: killed between the two, the next run finds the old note again.
        store.marks("done", "r+")[index] = 0
        store.place.flush(["progress/done/zarr.json"])  # with the names in its folder
    store.place.write(note, now)
    return bool(before)
