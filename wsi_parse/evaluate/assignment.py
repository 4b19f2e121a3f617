"""Which object of one side is which of the other: one to one, by overlap.

Above an IoU of 1/2 an object has at most one partner where the objects of each side do not overlap one another
(Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4.1). Where they do, or below 1/2, the largest assignment
decides.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

# A nest of so many possible pairs is solved as a table, larger ones by what there is.
_DENSE = 1 << 16


def assign(one: NDArray[np.int64], other: NDArray[np.int64], gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose pairs so that no object is in two: as many as can be, and of these choices the one of most gain.

    Parameters
    ----------
    one, other : int arrays (N,)
        The objects of each pair that may be chosen; no pair twice.
    gain : float array (N,)
        Of each pair, in (0, 2).

    Returns
    -------
    int array
        Indices of the chosen pairs, ascending.

    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.6, 0.6]))
    array([1, 2])
    """
    if not len(one):
        return np.empty(0, np.int64)
    rows, columns = np.unique(one, return_inverse=True)[1], np.unique(other, return_inverse=True)[1]
    nest = _nests(rows, columns)
    size = np.bincount(nest)
    alone = size[nest] == 1
    stars = ~alone & (_distinct(nest, rows) | _distinct(nest, columns))
    chosen = [np.flatnonzero(alone), _best_each(nest, gain, np.flatnonzero(stars))]
    rest = np.flatnonzero(~alone & ~stars)
    rest = rest[np.argsort(nest[rest], kind="stable")]
    row, column = _within(nest[rest], rows[rest]), _within(nest[rest], columns[rest])
    ends = np.flatnonzero(np.diff(nest[rest], append=-1)) + 1
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True) if len(rest) else ():
        which = rest[start:end]
        chosen.append(which[_largest(row[start:end], column[start:end], gain[which])])
    return np.sort(np.concatenate(chosen))


def _within(nest: NDArray[np.int64], side: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the objects of each nest from 0."""
    order = np.lexsort((side, nest))
    new = np.diff(side[order], prepend=-1) != 0
    first = np.diff(nest[order], prepend=-1) != 0
    count = np.cumsum(new | first) - 1
    numbers = np.empty(len(side), np.int64)
    numbers[order] = count - np.maximum.accumulate(np.where(first, count, 0))
    return numbers


def _nests(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of pairs that hang together."""
    count = int(rows.max()) + 1
    nodes = count + int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns + count)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][rows], np.int64)


def _distinct(nest: NDArray[np.int64], side: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each pair whether its nest has one object only on a side: then one pair can be chosen."""
    lowest, highest = np.full(nest.max() + 1, side.max() + 1), np.full(nest.max() + 1, -1)
    np.minimum.at(lowest, nest, side)
    np.maximum.at(highest, nest, side)
    return np.asarray((lowest == highest)[nest])


def _best_each(nest: NDArray[np.int64], gain: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.int64]:
    order = which[np.lexsort((which, -gain[which], nest[which]))]
    return order[np.diff(nest[order], prepend=-1) != 0]


def _largest(row: NDArray[np.int64], column: NDArray[np.int64], gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Solve one nest."""
    height, width = int(row.max()) + 1, int(column.max()) + 1
    partner = np.full(height, -1)
    # One pair more is worth more than any gain of all the others.
    values = 2.0 * height + 2 + gain
    if height * width <= _DENSE:
        table = np.zeros((height, width))
        table[row, column] = values
        matched = linear_sum_assignment(table, maximize=True)
        real = table[matched] > 0
        partner[matched[0][real]] = matched[1][real]
        return np.flatnonzero(partner[row] == column)
    # Each row also has a column of its own that stands for no partner.
    values = np.concatenate([values, np.ones(height)])
    places = np.concatenate([row, np.arange(height)]), np.concatenate([column, width + np.arange(height)])
    matched = min_weight_full_bipartite_matching(
        coo_array((values, places), shape=(height, width + height)).tocsr(), maximize=True
    )
    partner[matched[0]] = matched[1]
    return np.flatnonzero(partner[row] == column)
