"""Resampling on a fixed lattice: a frame pixel depends on the slide alone, never on the box that was read.

Shrinking averages areas (each source pixel weighs by the part of it that is covered), enlarging is bilinear.
Weights are integers that sum to `UNIT` and belong to the absolute index of a frame pixel. Along both axes integers
below 2**24 are added in float32, exactly and in any order, so a part cut from a large read equals a small read,
byte for byte.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsi_parse.slides.opencv import opencv

if TYPE_CHECKING:
    from scipy import sparse

UNIT = 1 << 14
# Of rows that are taken at once: small enough for the cache of a processor, and for memory that is not fetched anew.
_HALVED_BYTES = 64_000
# Of pixels that OpenCV makes at once in the thread that asks.
_HALVED_PX = 1 << 16


@lru_cache(maxsize=512)
def taps(start: int, stop: int, step: float, length: int, bands: int = 1) -> "tuple[int, sparse.csr_array]":
    """Return the weights that turn one axis of a level into frame pixels `start` to `stop`.

    Parameters
    ----------
    start, stop : int
        Frame pixels to compute, half-open.
    step : float
        Level pixels per frame pixel.
    length : int
        Number of level pixels on this axis; beyond them the edge pixel is repeated.
    bands : int
        Number of values per pixel that lie side by side along this axis.

    Returns
    -------
    first : int
        First level pixel needed.
    weights : csr_array ((stop - start) * bands, needed * bands), float32
        Integers; each row sums to `UNIT`.
    """
    # Takes a third of a second to import, and a slide that is only opened needs no weights.
    from scipy import sparse

    index = np.arange(start, stop, dtype=np.float64)
    if step >= 1:
        low, high = index * step, (index + 1) * step
        positions = np.floor(low + _TINY).astype(np.int64)[:, None] + np.arange(int(np.ceil(step)) + 1)
        cover = np.minimum(positions + 1, high[:, None]) - np.maximum(positions, low[:, None])
        cover = np.where(cover > _TINY, cover, 0.0)
    else:
        centre = (index + 0.5) * step - 0.5
        positions = np.floor(centre + _TINY).astype(np.int64)[:, None] + np.arange(2)
        cover = np.maximum(0.0, 1.0 - np.abs(positions - centre[:, None]))
    # The running sums are rounded, not the weights: so weights stay positive and sum to UNIT, however many they are.
    sums = np.cumsum(cover, axis=1)
    integers = np.diff(np.rint(sums * (UNIT / sums[:, -1:])).astype(np.int64), axis=1, prepend=0)
    rows, indices = np.nonzero(integers)
    columns = np.clip(positions[rows, indices], 0, length - 1)
    first, needed = int(columns.min()), int(np.ptp(columns)) + 1
    weights = sparse.coo_array(
        (integers[rows, indices].astype(np.float32), (rows, columns - first)), shape=(len(index), needed)
    ).tocsr()
    return first, weights if bands == 1 else sparse.kron(weights, sparse.eye_array(bands, dtype=np.float32), "csr")


def touched(start: int, stop: int, step: float) -> tuple[int, int]:
    """Return the frame pixels, half-open, that :func:`taps` computes from any of the level pixels `start` to `stop`.

    >>> touched(256, 512, 2.0), touched(0, 3, 0.5)
    ((128, 256), (-1, 7))
    """
    if step >= 1:
        return math.floor(start / step + _TINY), math.ceil(stop / step - _TINY)
    return math.floor((start - 0.5) / step - 0.5 + _TINY) + 1, math.ceil((stop + 0.5) / step - 0.5 - _TINY)


def apply_taps(
    pixels: NDArray[np.uint8], rows: "sparse.csr_array", columns: "sparse.csr_array", out: NDArray[np.uint8]
) -> None:
    """Resample an RGB array by the weights of both axes.

    Parameters
    ----------
    pixels : uint8 array (H, W, 3)
    rows, columns : csr_array (h, H), (w * 3, W * 3)
        From :func:`taps`; those of columns are made for 3 bands.
    out : uint8 array (h, w, 3)
        Receives the result.
    """
    height, width, bands = pixels.shape
    tall = _rounded(rows @ pixels.reshape(height, width * bands).astype(np.float32))
    wide = _rounded(columns @ _turned(tall).astype(np.float32))
    out[...] = _turned(wide).reshape(out.shape)


def halve(pixels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Average squares of four pixels of an RGB array with even sides, rounded, half up: as Pillow's `reduce` does.

    Parameters
    ----------
    pixels : uint8 array (2 h, 2 w, 3)
    out : uint8 array (h, w, 3)
        Receives the averages.

    Notes
    -----
    OpenCV takes a seventh of the time; see :mod:`wsi_parse.slides.opencv`.
    """
    cv2 = opencv()
    height, width, bands = out.shape
    # OpenCV would start threads of its own for more pixels.
    at_once = max(1, (_HALVED_PX if cv2 else _HALVED_BYTES // (2 * bands)) // max(1, width))
    for top in range(0, height, at_once):
        part = out[top : top + at_once]
        source = pixels[2 * top : 2 * (top + len(part))]
        if cv2 is None:
            _halve_rows(source, part)
        elif (made := cv2.resize(source, (width, len(part)), dst=part, interpolation=cv2.INTER_AREA)) is not part:
            part[...] = made


def _halve_rows(pixels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Halve a few rows, without turning them into a picture and back; the memory between is used again."""
    height, width, bands = out.shape
    rows = pixels.reshape(height, 2, 2 * width * bands)
    tall = np.add(rows[:, 0], rows[:, 1], dtype=np.uint16)
    # Of every second pixel the sum with its neighbour is wanted; adding all of them is faster than skipping.
    sums = tall[:, :-bands] + tall[:, bands:]
    sums += np.uint16(2)
    sums >>= np.uint16(2)
    for band in range(bands):
        out[..., band] = sums[:, band :: 2 * bands]


def _turned(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Transpose; OpenCV does it in squares that fit into the nearest cache."""
    cv2 = opencv()
    return np.ascontiguousarray(pixels.T) if cv2 is None else np.asarray(cv2.transpose(pixels))


def _rounded(sums: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Divide sums of weighted pixels by UNIT, rounded, half up."""
    cv2 = opencv()
    if cv2 is not None:
        # It rounds halves to even numbers. Sums are whole, so that half a step more leaves no halves, and is exact.
        return np.asarray(cv2.convertScaleAbs(sums, alpha=1 / UNIT, beta=0.5 / UNIT))
    sums *= np.float32(1 / UNIT)
    whole = np.empty(sums.shape, np.uint8)
    np.add(sums, np.float32(0.5), out=whole, casting="unsafe")
    return whole


_TINY = 1e-9
