"""Distance of each pixel to the edge of a mask, up to a limit: erosions are counted, with 64 pixels packed in a word.

Erosions are nested, so bit j of their count is the parity of how many of every 2**j-th erosion contain the pixel.
That takes two XORs per erosion instead of an addition.
"""

import numpy as np
from numpy.typing import NDArray

_WORD = np.dtype("<u8")
_BITS = np.uint64(63)
_ONE = np.uint64(1)


def chessboard_distance(mask: NDArray[np.bool_], limit: int) -> NDArray[np.uint8]:
    """Count, up to `limit`, the squares of side 1, 3, 5, … around each pixel that lie inside the mask.

    Equal to ``min(distance_transform_cdt(mask, "chessboard"), limit)`` of scipy, where pixels beyond the array count
    as mask.

    Parameters
    ----------
    mask : bool array (rows, columns)
    limit : int
        At most 255.

    Returns
    -------
    uint8 array (rows, columns)
    """
    return _counted(mask, limit, square=True)


def taxicab_distance(mask: NDArray[np.bool_], limit: int) -> NDArray[np.uint8]:
    """Count diamonds in place of squares, which is the city-block distance; see :func:`chessboard_distance`."""
    return _counted(mask, limit, square=False)


def _counted(mask: NDArray[np.bool_], limit: int, *, square: bool) -> NDArray[np.uint8]:
    rows, columns = mask.shape
    words = -(-columns // 64)
    # Pixels beyond the array count as mask; on the right the spare bits of the last word are set for that.
    packed = np.full((rows, 8 * words), 255, np.uint8)
    bits = np.packbits(mask, axis=1, bitorder="little")
    packed[:, : bits.shape[1]] = bits
    if columns % 8:
        packed[:, bits.shape[1] - 1] |= 255 << columns % 8 & 255
    left = packed.view(_WORD)
    last = np.uint64((1 << (columns - 64 * (words - 1))) - 1)
    planes = [np.zeros_like(left) for _ in range(limit.bit_length())]
    largest = 0
    for count in range(1, limit + 1):
        # The spare bits of the last word are set but belong to no pixel.
        if not (left[:, :-1].any() or (left[:, -1] & last).any()):
            break
        largest = count
        for bit, plane in enumerate(planes):
            if count % (1 << bit) == 0:
                plane ^= left
        left = _eroded(left, square=square)
    result = np.zeros(mask.shape, np.uint8)
    for bit, plane in enumerate(planes[: largest.bit_length()]):
        ones = np.unpackbits(plane.view(np.uint8), axis=1, count=columns, bitorder="little")
        result |= np.left_shift(ones, bit, out=ones)
    return result


def _eroded(mask: NDArray[np.uint64], *, square: bool) -> NDArray[np.uint64]:
    """Keep the bits whose eight neighbours (four if not `square`) are all set."""
    row = mask & (mask >> _ONE | _ONE << _BITS) & (mask << _ONE | _ONE)
    # Neighbours in the next word.
    row[:, :-1] &= mask[:, 1:] << _BITS | ~(_ONE << _BITS)
    row[:, 1:] &= mask[:, :-1] >> _BITS | ~_ONE
    column = row if square else mask
    result = row.copy()
    result[1:] &= column[:-1]
    result[:-1] &= column[1:]
    return result
