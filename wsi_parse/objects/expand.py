"""Nuclei are expanded to cells: each pixel near a nucleus goes to the nearest one, as in QuPath's cell expansion.

The rule looks no farther than the expansion distance, and ties are decided by direction, so two windows that both
contain the surroundings of a pixel agree about it.
"""

import numpy as np
from numpy.typing import NDArray

# Room for steps of up to 511 pixels, and for the squares of twice as much above them.
_STEP_BITS = 10


def expand_labels(
    labels: NDArray[np.int32],
    nuclei: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    distance_px: float,
    competing: tuple[tuple[NDArray[np.bool_], ...], tuple[NDArray[np.bool_], ...]] = ((), ()),
) -> NDArray[np.int32]:
    """Expand labels into pixels that are not nuclei.

    Parameters
    ----------
    labels : int32 array (rows, columns)
        The nuclei to expand; 0 elsewhere.
    nuclei : bool array (rows, columns)
        All nuclei; those without a label keep their surroundings too.
    allowed : bool array (rows, columns)
        Pixels into which labels may expand.
    distance_px : float
        How far labels expand.
    competing : two tuples of bool arrays (rows, columns)
        Nuclei of other groups of recipes. A pixel at equal distance belongs to a nucleus of the first tuple rather
        than to ours, and to ours rather than to one of the second.

    Returns
    -------
    int32 array (rows, columns)
        The labels with their surroundings: one cell each.
    """
    squared, row, column = _nearest(nuclei, int(distance_px))
    taken = allowed & ~nuclei & (squared <= distance_px**2)
    for ours_is_nearer, others in ((np.less, competing[0]), (np.less_equal, competing[1])):
        for other in others:
            taken &= ours_is_nearer(squared, _nearest(other, int(distance_px))[0])
    result = labels.copy()
    result[taken] = labels[row[taken], column[taken]]
    return result


def _nearest(mask: NDArray[np.bool_], reach: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Find for each pixel the nearest pixel of a mask, up to `reach` away on each axis.

    Returns
    -------
    squared : int32 array
        Squared distance; larger than any distance within reach if there is no such pixel.
    row, column : int32 array
        Index of the nearest pixel; among equally near ones, the one with the smallest step sideways, then the left,
        then the upper one.
    """
    height, width = mask.shape
    own = np.arange(height, dtype=np.int32)[:, None]
    far = np.int32(height + reach + 1)
    above = np.maximum.accumulate(np.where(mask, own, -far), axis=0)
    below = np.minimum.accumulate(np.where(mask, own, 2 * far)[::-1], axis=0)[::-1]
    nearer = np.where(own - above <= below - own, above, below)
    upright = (nearer - own) ** 2
    beyond = np.int32(2 * (reach + 1) ** 2)
    np.putmask(upright, upright > reach**2, beyond)
    # The low bits hold the step sideways: among equal distances the smallest step wins, and left before right.
    best = upright << _STEP_BITS
    upright <<= _STEP_BITS
    room = np.empty_like(best)
    for step in range(1, min(reach, width - 1) + 1):
        for code, here, there in (
            (2 * step - 1, np.s_[:, step:], np.s_[:, :-step]),
            (2 * step, np.s_[:, :-step], np.s_[:, step:]),
        ):
            through = np.add(upright[there], np.int32((step**2 << _STEP_BITS) + code), out=room[here])
            np.minimum(best[here], through, out=best[here])
    aside = best & ((1 << _STEP_BITS) - 1)
    column = np.arange(width, dtype=np.int32) + np.where(aside % 2, -1, 1) * ((aside + 1) // 2)
    return best >> _STEP_BITS, np.take_along_axis(nearer, column, axis=1), column
