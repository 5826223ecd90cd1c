"""Many short pieces of a file read by one call.

A row of a stamp is some hundred bytes: the system reads it from its cache sooner than the interpreter has asked for it. What
is asked for here is `pread` of the C library, piece by piece.
"""

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import instruction, kernel

_pread = instruction("tsogrid.kernels.system_calls", "pread")


@kernel
def _read_pieces(descriptor, buffer, offset, strides, counts, length):  # type: ignore[no-untyped-def]
    address = buffer.ctypes.data
    for i in range(counts[0]):
        for j in range(counts[1]):
            place = offset + i * strides[0] + j * strides[1]
            if _pread(np.int32(descriptor), np.uintp(address), np.uintp(length), np.int64(place)) != length:
                return False
            address += length
    return True


def read_pieces(
    descriptor: int, buffer: NDArray, offset: int, strides: tuple[int, int], counts: tuple[int, int], length: int
) -> bool:
    """Read pieces that lie at equal distances in two directions, one after the other into a buffer.

    Parameters
    ----------
    descriptor : int
        Of an open file.
    buffer : ndarray of uint8, (at least counts[0] · counts[1] · length,)
        Where to put them.
    offset : int
        Byte of the first piece.
    strides : (int, int)
        Bytes from one piece to the next in each direction; the second is the inner one.
    counts : (int, int)
        Pieces in each direction.
    length : int
        Bytes of a piece.

    Returns
    -------
    bool
        False if a piece could not be read whole; why, a slower way has to find out.

    Raises
    ------
    ValueError
        The buffer is too small.
    """
    if buffer.nbytes < counts[0] * counts[1] * length:
        raise ValueError(f"expected a buffer of {counts[0] * counts[1] * length} bytes, found {buffer.nbytes}")
    return bool(_read_pieces(descriptor, buffer, offset, strides, counts, length))
