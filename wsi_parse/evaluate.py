"""How well objects agree with the truth: matched centres, and Dice of areas."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree


def match_centres(found_um: NDArray[np.float64], known_um: NDArray[np.float64], radius_um: float) -> NDArray[np.int64]:
    """Match points one to one, as many as can be matched within a radius.

    Parameters
    ----------
    found_um, known_um : float arrays (N, 2), (M, 2)
        Centres (x, y) in microns.
    radius_um : float

    Returns
    -------
    int array (pairs, 2)
        Indices of found and known points: a maximum matching (Hopcroft and Karp, SIAM J Comput 2 (1973) 225).

    >>> match_centres(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[1.0, 0.0], [1.5, 0.0]]), 6.0)
    array([[0, 0]])
    """
    if not len(found_um) or not len(known_um):
        return np.empty((0, 2), np.int64)
    near = KDTree(found_um).sparse_distance_matrix(KDTree(known_um), radius_um, output_type="coo_matrix")
    graph = coo_array((np.ones(len(near.row), np.int8), (near.row, near.col)), shape=(len(found_um), len(known_um)))
    partner = maximum_bipartite_matching(graph.tocsr(), perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    return np.stack([matched, partner[matched]], axis=1).astype(np.int64)


def f1_score(matched: int, found: int, known: int) -> float:
    """F1 = 2 TP / (found + known); 1 where there is nothing to find and nothing was found.

    >>> f1_score(3, 4, 5)
    0.6666666666666666
    """
    return 2 * matched / (found + known) if found + known else 1.0


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks of the same shape: 2 |A and B| / (|A| + |B|); 1 where both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
