"""Eight numbers side by side: names for what `vector_instructions` has, which loads numba when compiled code needs it."""

from tsogrid.kernels.compile import instruction

WIDTH = 8

_HOME = "tsogrid.kernels.vector_instructions"
load = instruction(_HOME, "load")
store = instruction(_HOME, "store")
load_bits = instruction(_HOME, "load_bits")
load_marked = instruction(_HOME, "load_marked")
add_bits = instruction(_HOME, "add_bits")
fill = instruction(_HOME, "fill")
ramp = instruction(_HOME, "ramp")
no_count = instruction(_HOME, "no_count")
counted = instruction(_HOME, "counted")
as_single = instruction(_HOME, "as_single")
as_double = instruction(_HOME, "as_double")
where = instruction(_HOME, "where")
fused = instruction(_HOME, "fused")
absolute = instruction(_HOME, "absolute")
floor = instruction(_HOME, "floor")
store_turned = instruction(_HOME, "store_turned")
truths = instruction(_HOME, "truths")
number_of = instruction(_HOME, "number_of")
total_of = instruction(_HOME, "total_of")
smallest_of = instruction(_HOME, "smallest_of")
lane = instruction(_HOME, "lane")
with_lane = instruction(_HOME, "with_lane")
