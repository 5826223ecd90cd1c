"""A plan that measures nothing: every block is NaN at once, so that a run shows what everything else costs."""

from dataclasses import fields
from typing import Any

import numpy as np

from tsogrid.engine.plan import Plan


class EmptyPlan(Plan):
    """A plan whose blocks hold NaN, and 0 where there is no NaN."""

    def measure(self, start: int, stop: int, index: int = 0, given: Any = None) -> dict[str, np.ndarray]:
        sizes = self.sizes | {"time": stop - start}
        result = {}
        for variable in self.variables(index):
            shape = tuple(sizes[dim] for dim in variable.dims)
            missing = np.nan if np.dtype(variable.dtype).kind == "f" else 0
            result[variable.name] = np.full(shape, missing, variable.dtype)
        return result


def without_kernels(plan: Plan) -> EmptyPlan:
    """Give the plan without its work."""
    return EmptyPlan(**{each.name: getattr(plan, each.name) for each in fields(Plan)})
