"""Scores of counts and of masks."""

import numpy as np
from numpy.typing import NDArray


def f1_score(matched: int, found: int, known: int) -> float:
    """F1 = 2 TP / (found + known); 1 if there is nothing to find and nothing was found.

    >>> f1_score(3, 4, 5)
    0.6666666666666666
    """
    return 2 * matched / (found + known) if found + known else 1.0


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks of the same shape: 2 |A and B| / (|A| + |B|); 1 if both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
