"""Which rings of a large polygon snapping leaves as they are, found without comparing each corner with each side."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings, bands

# In mean sides. Smaller cells make more runs of corners, larger ones longer runs.
_CELL_SIDES = 1.0
_SIDES_AT_ONCE, _RINGS_AT_ONCE = 1 << 17, 1 << 14
# A square of the grid reaches half a step beyond its corner; a whole one is on the safe side of rounding.
_REACH = 1.0


def near_rings(rings: Rings, grid_px: float) -> NDArray[np.bool_]:
    """Return which rings of a polygon have a corner within half the diagonal of a square of the grid of another side.

    Parameters
    ----------
    rings : Rings
        All corners lie on the grid.
    grid_px : float

    Returns
    -------
    bool array (rings,)
        Of a corner near a side, the rings of both. The two sides that meet at a corner are not near it. A ring without
        area in which corners repeat is near itself.
    """
    found = np.zeros(len(rings), bool)
    # A band of heights after another, so that what lies between stays small.
    for band, top, bottom in bands(rings, _RINGS_AT_ONCE, _REACH * grid_px):
        found[band] |= _near(rings.take(band), grid_px, top, bottom)
    return found


def _near(rings: Rings, grid_px: float, top: float, bottom: float) -> NDArray[np.bool_]:
    """Return which rings are near because of a corner between two heights, `top` and `bottom`, in level-0 pixels."""
    is_last = np.zeros(len(rings.points), bool)
    is_last[rings.offsets[1:] - 1] = True
    # The last point of a ring repeats its first one, so each corner begins one side. On the grid, steps are whole.
    steps = np.rint(rings.points / grid_px).astype(np.int32)
    start, end = steps[~is_last], steps[np.flatnonzero(~is_last) + 1]
    sizes = rings.sizes - 1
    owner = np.repeat(np.arange(len(rings)), sizes)
    following = np.arange(1, len(owner) + 1)
    following[np.cumsum(sizes) - 1] = np.cumsum(sizes) - sizes
    low, high = np.minimum(start[:, 1], end[:, 1]) - _REACH, np.maximum(start[:, 1], end[:, 1]) + _REACH
    corners = np.flatnonzero((start[:, 1] >= top / grid_px) & (start[:, 1] < bottom / grid_px))
    sides = np.flatnonzero((low <= bottom / grid_px) & (high >= top / grid_px))
    found = np.zeros(len(rings), bool)
    for number, corner_number in _pairs(start[sides], end[sides], start[corners]):
        side, corner = sides[number], corners[corner_number]
        of_side = start[side]
        along, to_corner = (end[side] - of_side).astype(np.float64), (start[corner] - of_side).astype(np.float64)
        length2 = (along**2).sum(axis=1)
        forward = (to_corner * along).sum(axis=1)
        aside = to_corner[:, 0] * along[:, 1] - to_corner[:, 1] * along[:, 0]
        near = (forward >= 0) & (forward <= length2) & (2 * aside**2 <= length2)
        # A side without length is near only to corners in the same place, also its own.
        near &= np.where(length2 > 0, (corner != side) & (corner != following[side]), ~to_corner.any(axis=1))
        found[owner[side[near]]] = found[owner[corner[near]]] = True
    return found


def _pairs(
    start: NDArray[np.int32], end: NDArray[np.int32], corners: NDArray[np.int32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of a side and a corner, among them all in which the corner lies within a step of the side."""
    if not len(start) or not len(corners):
        return
    origin = np.minimum(np.minimum(start, end).min(axis=0), corners.min(axis=0)) - 2 * _REACH
    size = max(4 * _REACH, _CELL_SIDES * float(np.abs(end - start).mean()))
    # The corners in row-major order of their cells: those in a row of cells beside one another are one run.
    width = int((max(start[:, 0].max(), corners[:, 0].max()) - origin[0]) / size) + 3
    key = ((corners[:, 1] - origin[1]) // size).astype(np.int64) * width
    key += ((corners[:, 0] - origin[0]) // size).astype(np.int64)
    order = np.argsort(key, kind="stable")
    key = key[order]
    for begin in range(0, len(start), _SIDES_AT_ONCE):
        a, b = (ends[begin : begin + _SIDES_AT_ONCE] - origin for ends in (start, end))
        low, high = np.minimum(a, b) - _REACH, np.maximum(a, b) + _REACH
        top = (low[:, 1] // size).astype(np.int64)
        rows = (high[:, 1] // size).astype(np.int64) - top + 1
        side = np.repeat(np.arange(len(a)), rows)
        row = np.arange(len(side)) - np.repeat(np.cumsum(rows) - rows - top, rows)
        left, right = _across(a[side], b[side], row * size - _REACH, (row + 1) * size + _REACH)
        left, right = np.maximum(left, low[side, 0]), np.minimum(right, high[side, 0])
        run = np.searchsorted(key, row * width + (left // size).astype(np.int64))
        stop = np.searchsorted(key, row * width + (right // size).astype(np.int64), side="right")
        count = np.maximum(stop - run, 0)
        corner = order[np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - run, count)]
        yield np.repeat(side, count) + begin, corner


def _across(
    a: NDArray[np.float64], b: NDArray[np.float64], top: NDArray[np.float64], bottom: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest x, a step beyond, of the part of each side between two heights."""
    (x0, y0), (x1, y1) = a.T, b.T
    down = np.where(y1 == y0, 1.0, y1 - y0)
    parts = [np.clip(np.where(y1 == y0, share, (y - y0) / down), 0, 1) for y, share in ((top, 0.0), (bottom, 1.0))]
    ends = [x0 + part * (x1 - x0) for part in parts]
    return np.minimum(*ends) - _REACH, np.maximum(*ends) + _REACH
