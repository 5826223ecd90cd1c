"""How fast tsogrid is beside the programs that do the same: `python -m benchmarks.peers`."""
