"""Linear least squares with weights: by QR, columns scaled, and columns that say nothing new left out.

All is divided by the errors before it comes here. Products are sums of numpy's own: BLAS may raise floating-point flags for
numbers that are all finite.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr, solve_triangular

SAME = 1e-6  # part of a column that must be its own; less is what rounding of the others leaves


class Solution(NamedTuple):
    """Of a weighted system of n equations for p unknowns."""

    coefficients: np.ndarray  # (p,)
    covariance: np.ndarray  # (p, p), for equations whose errors are 1
    rest: np.ndarray  # (n,): values less model
    estimator: np.ndarray  # (p, n): coefficients = estimator · values


def independent(columns: np.ndarray) -> np.ndarray:
    """Find the columns that are no combination of the ones before them.

    Parameters
    ----------
    columns : ndarray, shape (n, p)
        Divided by the errors.

    Returns
    -------
    ndarray of bool, shape (p,)
        False where less than a millionth of a column is its own, or all of it is 0.
    """
    found = np.zeros(columns.shape[1], bool)
    basis: list[np.ndarray] = []
    for index, column in enumerate(columns.T):
        size = np.sqrt((column**2).sum())
        if not size > 0:
            continue
        own = column / size
        for _ in range(2):  # the second time takes off what rounding left
            for vector in basis:
                own = own - (own * vector).sum() * vector
        left = np.sqrt((own**2).sum())
        if left > SAME:
            found[index] = True
            basis.append(own / left)
    return found


def solve(columns: np.ndarray, values: np.ndarray) -> Solution:
    """Solve a system of weighted linear equations in the sense of least squares.

    Parameters
    ----------
    columns : ndarray, shape (n, p)
        Independent of each other, p ≤ n, divided by the errors.
    values : ndarray, shape (n,)
        Divided by the errors.

    Returns
    -------
    Solution
        The covariance is (AᵀA)⁻¹ of the weighted columns A.
    """
    size = np.sqrt((columns**2).sum(axis=0))
    basis, triangle = qr(columns / size, mode="economic", check_finite=False)
    inverse = solve_triangular(triangle, np.eye(len(size)), check_finite=False) / size[:, None]
    estimator = np.einsum("ij,nj->in", inverse, basis)
    coefficients = (estimator * values).sum(axis=1)
    rest = values - (columns * coefficients).sum(axis=1)
    return Solution(coefficients, np.einsum("ij,kj->ik", inverse, inverse), rest, estimator)
