"""From frames to a result: the measurement of a block, the plan over all blocks, the store, the cluster, the run."""
