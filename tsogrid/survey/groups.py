"""Which stars are fitted together: friends of friends, and large crowds divided where they hang together least."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

LARGEST = 24  # stars fitted at once
_SHORTER = 0.8  # of the link, at each try to divide


def group_numbers(x: NDArray[np.float64], y: NDArray[np.float64], link: float) -> NDArray[np.int64]:
    """Number the groups of stars that are linked by steps of at most ``link``.

    Parameters
    ----------
    x, y : (n,) array
        Positions in pixels, finite.
    link : float
        Largest distance of friends, in pixels.

    Returns
    -------
    (n,) array of int
        From 0, in the order of the groups' first stars.
    """
    if x.size == 0:
        return np.zeros(0, np.int64)
    pairs = cKDTree(np.stack([x, y], axis=1)).query_pairs(link, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(x.size, x.size))
    _, label = connected_components(graph, directed=False)
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    return rank[inverse]


def fitted_together(
    x: NDArray[np.float64], y: NDArray[np.float64], link: float, largest: int = LARGEST
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Order the stars by the groups that are fitted at once.

    Parameters
    ----------
    x, y : (n,) array
        Positions in pixels, finite.
    link : float
        Largest distance of friends, in pixels; shorter in a group that would be too large.
    largest : int
        Stars of a group, at most.

    Returns
    -------
    members : (n,) array of int
        Numbers of the stars, group after group.
    first : (groups + 1,) array of int
        Where each group begins in `members`.
    divided : (n,) array of bool
        Stars whose group was divided.
    """
    pieces: list[NDArray[np.int64]] = []
    divided = np.zeros(x.size, bool)
    waiting = [(np.arange(x.size), link)]
    while waiting:
        stars, length = waiting.pop()
        label = group_numbers(x[stars], y[stars], length)
        order = np.argsort(label, kind="stable")
        for piece in np.split(stars[order], np.flatnonzero(np.diff(label[order])) + 1):
            if piece.size <= largest:
                pieces.append(piece)
                continue
            divided[piece] = True
            if length > 0.3 * link:
                waiting.append((piece, _SHORTER * length))
            else:  # a heap without gaps is cut across its longer side
                long = x if np.ptp(x[piece]) >= np.ptp(y[piece]) else y
                along = piece[np.argsort(long[piece], kind="stable")]
                waiting.extend((half, length) for half in np.array_split(along, 2))
    pieces = sorted((piece for piece in pieces if piece.size), key=lambda piece: int(piece.min()))
    first = np.concatenate([[0], np.cumsum([piece.size for piece in pieces])]).astype(np.int64)
    members = np.concatenate(pieces).astype(np.int64) if pieces else np.zeros(0, np.int64)
    return members, first, divided
