"""Centres matched one to one within a radius."""

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
