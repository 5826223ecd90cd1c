"""How many frames are measured together: as many as fit in memory, and few enough that every worker has some blocks."""

import math
import os

BLOCK_BYTES = 96e6  # pixels that are held at once at most: 64 frames of 256 × 2048, of which the lines about a star are read
LONGEST_PIECE = 4096  # frames that are read at once at most: more tiny ones take memory and are no quicker
LEAST_SECONDS, MOST_SECONDS = 0.4, 1.0  # of CPU that a block takes
BLOCKS_A_WORKER = 16  # of a run that is long enough: then a worker waits little for the last one
LONGEST_BLOCK = 256


def frames_in_memory(bytes_per_frame: int, halo: int = 0) -> int:
    """Give the frames that may be read at once, so that they and the frames on both sides of them fit in memory.

    Where large frames leave no room beside those of the sides, as many are measured as without them: fewer would hardly
    take less memory, and every block reads and filters its sides anew.

    Parameters
    ----------
    bytes_per_frame : int
        Bytes that a frame takes.
    halo : int
        Frames on each side of a block that are read with it.

    Returns
    -------
    int
    """
    room = min(int(BLOCK_BYTES / max(bytes_per_frame, 1)), LONGEST_PIECE)
    return max(1, room - 2 * halo, min(room, halo))


def default_block(n_frames: int, bytes_per_frame: int, workers: int | None = None, halo: int = 0) -> int:
    """Give a block size that fits in memory and leaves every worker at least four blocks.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    bytes_per_frame : int
        Bytes that one frame takes.
    workers : int, optional
        How many blocks are measured at a time; the number of processors if not given.
    halo : int
        Frames on each side of a block that are read with it.

    Returns
    -------
    int
    """
    share = math.ceil(n_frames / (4 * (workers or os.cpu_count() or 1)))
    return max(1, min(LONGEST_BLOCK, frames_in_memory(bytes_per_frame, halo), share))
