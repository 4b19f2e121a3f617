"""Assignment: objects of two sets are matched one to one by overlap.

Above an IoU of 1/2 an object has at most one partner if the objects of each set do not overlap one another (Kirillov
et al., Panoptic Segmentation, CVPR 2019, section 4.1). If they do, or below 1/2, the largest assignment decides.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

# Groups with fewer possible pairs are solved with a dense table, larger ones with a sparse one.
_DENSE = 1 << 16


def assign(one: NDArray[np.int64], other: NDArray[np.int64], gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose pairs so that no object is in two of them: as many as possible and, among these, with the largest gain.

    Parameters
    ----------
    one, other : int arrays (N,)
        The objects of each candidate pair; no pair occurs twice.
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
    component = _components(rows, columns)
    size = np.bincount(component)
    alone = size[component] == 1
    stars = ~alone & (_distinct(component, rows) | _distinct(component, columns))
    chosen = [np.flatnonzero(alone), _best_each(component, gain, np.flatnonzero(stars))]
    rest = np.flatnonzero(~alone & ~stars)
    rest = rest[np.argsort(component[rest], kind="stable")]
    row, column = _within(component[rest], rows[rest]), _within(component[rest], columns[rest])
    ends = np.flatnonzero(np.diff(component[rest], append=-1)) + 1
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True) if len(rest) else ():
        which = rest[start:end]
        chosen.append(which[_largest(row[start:end], column[start:end], gain[which])])
    return np.sort(np.concatenate(chosen))


def _within(component: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the objects of each connected component from 0."""
    order = np.lexsort((members, component))
    new = np.diff(members[order], prepend=-1) != 0
    first = np.diff(component[order], prepend=-1) != 0
    count = np.cumsum(new | first) - 1
    numbers = np.empty(len(members), np.int64)
    numbers[order] = count - np.maximum.accumulate(np.where(first, count, 0))
    return numbers


def _components(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the connected components of the pairs."""
    count = int(rows.max()) + 1
    nodes = count + int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns + count)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][rows], np.int64)


def _distinct(component: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each pair whether its component has a single object of this set, so that one pair is chosen."""
    lowest, highest = np.full(component.max() + 1, members.max() + 1), np.full(component.max() + 1, -1)
    np.minimum.at(lowest, component, members)
    np.maximum.at(highest, component, members)
    return np.asarray((lowest == highest)[component])


def _best_each(component: NDArray[np.int64], gain: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.int64]:
    order = which[np.lexsort((which, -gain[which], component[which]))]
    return order[np.diff(component[order], prepend=-1) != 0]


def _largest(row: NDArray[np.int64], column: NDArray[np.int64], gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Solve one component."""
    height, width = int(row.max()) + 1, int(column.max()) + 1
    partner = np.full(height, -1)
    # One more pair is worth more than the gain of all others.
    values = 2.0 * height + 2 + gain
    if height * width <= _DENSE:
        table = np.zeros((height, width))
        table[row, column] = values
        matched = linear_sum_assignment(table, maximize=True)
        real = table[matched] > 0
        partner[matched[0][real]] = matched[1][real]
        return np.flatnonzero(partner[row] == column)
    # Each row also has its own column that stands for having no partner.
    values = np.concatenate([values, np.ones(height)])
    indices = np.concatenate([row, np.arange(height)]), np.concatenate([column, width + np.arange(height)])
    matched = min_weight_full_bipartite_matching(
        coo_array((values, indices), shape=(height, width + height)).tocsr(), maximize=True
    )
    partner[matched[0]] = matched[1]
    return np.flatnonzero(partner[row] == column)
