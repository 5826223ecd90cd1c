"""Several fits side by side: names for what `lane_instructions` has, which loads numba when compiled code needs it."""

from pathlib import Path

from tsogrid.kernels.compile import instruction

_CPU = Path("/proc/cpuinfo")


def _lanes() -> int:
    """How many numbers stay in the registers of this processor; another number is slower, and gives the same bits."""
    try:
        with _CPU.open("rb") as about:
            return 8 if b" avx512f " in about.read(1 << 14) else 4
    except OSError:
        return 4


LANES = _lanes()
_HOME = "tsogrid.kernels.lane_instructions"
read = instruction(_HOME, "read")
write = instruction(_HOME, "write")
spread = instruction(_HOME, "spread")
select = instruction(_HOME, "select")
any_of = instruction(_HOME, "any_of")
power_of_two = instruction(_HOME, "power_of_two")
write_square = instruction(_HOME, "write_square")
