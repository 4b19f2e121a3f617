"""Resampling on a fixed lattice: a frame pixel depends on the slide alone, never on the box that was read.

Shrinking averages areas (each source pixel weighs by the part of it that is covered), enlarging is bilinear.
Weights are integers that sum to `UNIT` and belong to the absolute index of a frame pixel; both passes add
integers below 2**24 in float32, exactly, in any order. So cutting a large read equals a small read, byte for byte.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

UNIT = 1 << 14


@lru_cache(maxsize=64)
def taps(start: int, stop: int, step: float, length: int) -> tuple[int, sparse.csr_array]:
    """Weights that turn one axis of a level into frame pixels `start` to `stop`.

    Parameters
    ----------
    start, stop : int
        Frame pixels wanted, half-open.
    step : float
        Level pixels per frame pixel.
    length : int
        Level pixels there are; beyond them the edge pixel is repeated.

    Returns
    -------
    first : int
        First level pixel needed.
    weights : csr_array (stop - start, needed), float32
        Integers; each row sums to `UNIT`.
    """
    index = np.arange(start, stop, dtype=np.float64)
    if step >= 1:
        low, high = index * step, (index + 1) * step
        count = int(np.ceil(step)) + 1
    else:
        centre = (index + 0.5) * step - 0.5
        low, high = centre, centre
        count = 2
    base = np.floor(low + _TINY).astype(np.int64)
    positions = base[:, None] + np.arange(count)
    if step >= 1:
        cover = np.minimum(positions + 1, high[:, None]) - np.maximum(positions, low[:, None])
        cover = np.where(cover > _TINY, cover, 0.0) / step
    else:
        cover = np.maximum(0.0, 1.0 - np.abs(positions - centre[:, None]))
    integers = np.rint(cover * UNIT).astype(np.int64)
    largest = np.argmax(integers, axis=1)
    integers[np.arange(len(index)), largest] += UNIT - integers.sum(axis=1)
    positions = np.clip(positions, 0, length - 1)
    first, needed = int(positions.min()), int(positions.max() - positions.min()) + 1
    rows = np.repeat(np.arange(len(index)), count)
    keep = integers.ravel() != 0
    weights = sparse.coo_array(
        (integers.ravel()[keep].astype(np.float32), (rows[keep], positions.ravel()[keep] - first)),
        shape=(len(index), needed),
    ).tocsr()
    return first, weights


def apply_taps(pixels: NDArray[np.uint8], rows: sparse.csr_array, columns: sparse.csr_array) -> NDArray[np.uint8]:
    """Resample an RGB array (rows, columns, 3) by the weights of both axes."""
    height, width, bands = pixels.shape
    tall = rows @ pixels.reshape(height, width * bands).astype(np.float32)
    tall = _rounded(tall).reshape(-1, width, bands).transpose(1, 0, 2)
    wide = columns @ np.ascontiguousarray(tall).reshape(width, -1)
    return _rounded(wide).reshape(columns.shape[0], -1, bands).transpose(1, 0, 2).astype(np.uint8)


def _rounded(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    sums += np.float32(UNIT // 2)
    sums *= np.float32(1 / UNIT)
    return np.floor(sums, out=sums)


_TINY = 1e-9
