"""Sums over windows of a lattice."""

import numpy as np
from numpy.typing import NDArray


def window_sums(values: NDArray[np.integer], rows: int, columns: int) -> NDArray[np.int64]:
    """Add up an array over each window that lies in it.

    Parameters
    ----------
    values : int array (H, W)
    rows, columns : int
        Of a window; at most H and W.

    Returns
    -------
    int64 array (H - rows + 1, W - columns + 1)

    >>> window_sums(np.array([[1, 2, 3], [4, 5, 6]]), 2, 2).tolist()
    [[12, 16]]
    """
    total = np.pad(values.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    return np.asarray(inside, np.int64)
