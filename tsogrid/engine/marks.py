"""What the mark of a shard says: nothing there yet, written, or written with frames that could not be read.

Of the last kind the next run measures every shard again: a file may have been mended.
"""

import warnings

import numpy as np

from tsogrid.errors import TsogridWarning

WHOLE, SOME_ASIDE = 1, 2  # 0: not written


def warn_of_marks(path: object, marks: np.ndarray) -> None:
    """Warn whoever opens a result of what it does not hold.

    Parameters
    ----------
    path : path-like, str or place
        The store.
    marks : ndarray, shape (n_shards,)
        Of its last pass.
    """
    missing, aside = int((marks == 0).sum()), int((marks == SOME_ASIDE).sum())
    if missing:
        warnings.warn(
            f"{path}: {missing} of {marks.size} shards are not measured yet and read as NaN; "
            "`tsogrid run` with the same configuration goes on.",
            TsogridWarning,
            stacklevel=3,
        )
    if aside:
        warnings.warn(
            f"{path}: in {aside} of {marks.size} shards files could not be read; their frames are NaN and flagged "
            "unreadable. `tsogrid status` names the files; `tsogrid run` with the same configuration tries them again.",
            TsogridWarning,
            stacklevel=3,
        )
