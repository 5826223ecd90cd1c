"""Cholesky factors of small matrices, one at a time: the last word of every fit with a few parameters."""

import math

from tsogrid.kernels.compile import part


@part
def factorise(matrix, factor, n):  # type: ignore[no-untyped-def]
    """Cholesky factor (lower) of the lower triangle of an n × n matrix; return whether it is positive definite."""
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = value / factor[j, j]
            elif value > 1e-14 * matrix[i, i]:
                factor[i, i] = math.sqrt(value)
            else:
                return False
    return True


@part
def substitute(factor, vector, n):  # type: ignore[no-untyped-def]
    """Solve in place with a Cholesky factor."""
    for i in range(n):
        for k in range(i):
            vector[i] -= factor[i, k] * vector[k]
        vector[i] /= factor[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= factor[k, i] * vector[k]
        vector[i] /= factor[i, i]
