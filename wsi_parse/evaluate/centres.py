"""Centres matched one to one within a radius."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from wsi_parse.errors import UsageError

# A million cells have some ten neighbours each within the usual radius.
_MAX_PAIRS = 50_000_000


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

    Raises
    ------
    UsageError
        More pairs of points lie within the radius than in any tissue.

    >>> match_centres(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[1.0, 0.0], [1.5, 0.0]]), 6.0)
    array([[0, 0]])
    """
    if not len(found_um) or not len(known_um):
        return np.empty((0, 2), np.int64)
    found, known = KDTree(found_um), KDTree(known_um)
    if found.count_neighbors(known, radius_um) > _MAX_PAIRS:
        raise UsageError(
            f"Too many centres lie within a radius of one another: {len(found_um):,} and {len(known_um):,} make over "
            f"{_MAX_PAIRS:,} pairs.",
            "Give a smaller --radius, and check with `wsi-parse check` whether objects were imported several times.",
        )
    near = found.sparse_distance_matrix(known, radius_um, output_type="coo_matrix")
    graph = coo_array((np.ones(len(near.row), np.int8), (near.row, near.col)), shape=(len(found_um), len(known_um)))
    partner = maximum_bipartite_matching(graph.tocsr(), perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    return np.stack([matched, partner[matched]], axis=1).astype(np.int64)
