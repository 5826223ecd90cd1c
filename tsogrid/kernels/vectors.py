"""Numbers side by side in compiled code: names for what `vector_instructions` and `memory_instructions` have.

Those load numba when compiled code needs them; this module does not. Kernels that work on vectors read like ones that work
on numbers: arithmetic, comparisons, ``&``, ``|``, ``~``, ``abs``, `math.sqrt` and `math.floor` take vectors, and numbers
beside them. There are two families, alike in all but where they begin:

- eight neighbours of a flat array (`load`, `fill`), every operation rounded as IEEE 754 has it;
- one fit in each lane (`read`, `write`, `spread`), as many as the processor's registers hold, where a product and a sum may
  be one instruction. Arrays of them are float64, C-contiguous, of shape (…, LANES), and are counted in vectors.

For functions of a few instructions over parts of arrays, which leave no vector behind, there is `tsogrid.kernels.eights`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tsogrid.kernels.compile import instruction

_CPU = Path("/proc/cpuinfo")


def _lanes() -> int:
    """How many numbers stay in the registers of this processor; another number is slower, and may round otherwise."""
    try:
        with _CPU.open("rb") as about:
            return 8 if b" avx512f " in about.read(1 << 14) else 4
    except OSError:
        return 4


WIDTH = 8
_LINE = 64  # bytes of a line of the cache
LANES = _lanes()


def zeros(size: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Scratch that begins where a line of the cache does: vectors as long as one never lie in two.

    Parameters
    ----------
    size : int
        Number of elements.
    dtype : data type

    Returns
    -------
    ndarray, shape (size,)
    """
    item = np.dtype(dtype).itemsize
    room = np.zeros(size + _LINE // item, dtype)
    start = -room.ctypes.data % _LINE // item
    return room[start : start + size]


def _memory(name: str) -> Any:
    return instruction("tsogrid.kernels.memory_instructions", name)


def _vector(name: str) -> Any:
    return instruction("tsogrid.kernels.vector_instructions", name)


# Where vectors come from and go to.
load, store = _memory("load"), _memory("store")
load_as_double, store_rounded = _memory("load_as_double"), _memory("store_rounded")
read, write = _memory("read"), _memory("write")
load_bits, load_marked = _memory("load_bits"), _memory("load_marked")
store_bit, add_bits = _memory("store_bit"), _memory("add_bits")
load_lines, store_turned = _memory("load_lines"), _memory("store_turned")
fill, spread, ramp, no_count = _vector("fill"), _vector("spread"), _vector("ramp"), _vector("no_count")
# What becomes of them.
where, fused, counted = _vector("where"), _vector("fused"), _vector("counted")
as_single, as_double, power_of_two = _vector("as_single"), _vector("as_double"), _vector("power_of_two")
least, most, as_bits = _vector("least"), _vector("most"), _vector("as_bits")
lane, with_lane = _vector("lane"), _vector("with_lane")
# One number of many.
any_of, all_of, truths, number_of = _vector("any_of"), _vector("all_of"), _vector("truths"), _vector("number_of")
total_of, smallest_of = _vector("total_of"), _vector("smallest_of")
