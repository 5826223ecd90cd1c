"""Small weighted least squares: normal equations of a few terms, and the size of what is left."""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import copy_keys, median

TERMS = 13  # at most
RIDGE = 1e-10  # of the diagonal: keeps terms that rounding cannot tell apart from growing against each other


@part
def factorize(matrix, used):  # type: ignore[no-untyped-def]
    """Cholesky factor in place of a symmetric matrix; a term that is nothing but zeros gets the coefficient 0."""
    for i in range(used):
        diagonal = matrix[i, i]
        matrix[i, i] = diagonal * (1.0 + RIDGE) if diagonal > 0.0 else 1.0
    for i in range(used):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                # Rounding may leave nothing of a term that the earlier ones hold already.
                matrix[i, i] = np.sqrt(total) if total > 1e-13 * matrix[i, i] else np.inf
            else:
                matrix[i, j] = total / matrix[j, j]


@part
def solve(factor, vector, used):  # type: ignore[no-untyped-def]
    """Solve in place with a Cholesky factor."""
    for i in range(used):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * vector[k]
        vector[i] = total / factor[i, i]
    for i in range(used - 1, -1, -1):
        total = vector[i]
        for k in range(i + 1, used):
            total -= factor[k, i] * vector[k]
        vector[i] = total / factor[i, i]


@part
def median_size(values, start, stop, sizes, keys):  # type: ignore[no-untyped-def]
    """Median of |value| of the finite ones among ``values[start:stop]``, and how many these are."""
    count = 0
    for i in range(start, stop):
        size = abs(values[i])
        if size < np.inf:
            sizes[count] = size
            count += 1
    good = copy_keys(sizes.view(np.int64), np.int64(0), count, keys, np.int64(0))
    return median(keys, count, good), good


@part
def median_value(values, n, keys):  # type: ignore[no-untyped-def]
    """Median of the first ``n`` values, as far as they are finite."""
    good = copy_keys(values.view(np.int64), np.int64(0), n, keys, np.int64(0))
    return median(keys, n, good)


@part
def normal_matrix(terms, used, weights, n_fit, weighted, matrix):  # type: ignore[no-untyped-def]
    """Factor of Σ w t tᵀ over the first pixels; ``terms`` (terms, n), ``weighted`` (n, terms) takes w t."""
    for p in range(used):
        for q in range(used):
            matrix[p, q] = 0.0
    for i in range(n_fit):
        for p in range(used):
            weighted[i, p] = weights[i] * terms[p, i]
        for p in range(used):
            for q in range(p + 1):
                matrix[p, q] += weighted[i, p] * terms[q, i]
    factorize(matrix, used)
