"""Pairs of pixels that lie within a distance of each other.

SciPy's trees find them as well, and importing these takes as long as outlining a small slide.
"""

import math

import numpy as np
from numpy.typing import NDArray


def pairs_within(points: NDArray[np.int64], distance: float) -> NDArray[np.int64]:
    """Find pairs of points.

    Parameters
    ----------
    points : int array (N, 2)
        Pixels (row, column), not negative.
    distance : float
        In pixels.

    Returns
    -------
    int array (M, 2)
        Indices of the two points of each pair, in no certain order.

    >>> pairs_within(np.array([(0, 0), (3, 4), (9, 9)]), 5.0).tolist()
    [[0, 1]]
    """
    # Squares as wide as the distance: who is near lies in the same square or in one beside it. The squares of a row
    # have consecutive numbers, with an empty one between two rows.
    row, column = (points // max(1, math.ceil(distance))).T
    squares = int(column.max(initial=0)) + 2
    square = row * squares + column
    order = np.argsort(square, kind="stable")
    square = square[order]
    here = np.arange(len(order))
    first = np.concatenate([here + 1, np.searchsorted(square, square + squares - 1)])
    last = np.concatenate([np.searchsorted(square, square + end, "right") for end in (1, squares + 1)])
    count = last - first
    one = np.repeat(np.tile(here, 2), count)
    other = np.arange(len(one)) + np.repeat(first - (np.cumsum(count) - count), count)
    pairs = np.stack([order[one], order[other]], axis=1)
    squared = ((points[pairs[:, 0]] - points[pairs[:, 1]]) ** 2).sum(axis=1)
    return np.asarray(pairs[squared <= distance * distance], np.int64)
