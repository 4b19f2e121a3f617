"""Which rings of a large polygon snapping leaves as they are, found without comparing each corner with each side."""

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

# In mean sides. Smaller cells make more runs of corners, larger ones longer runs.
_CELL_SIDES = 1.0
_SIDES_AT_ONCE = 1 << 17
# A square of the grid reaches half a step beyond its corner; a whole one is on the safe side of rounding.
_REACH = 1.0


def near_rings(polygon: shapely.Polygon, grid_px: float) -> NDArray[np.bool_]:
    """Return which rings of a polygon have a corner within half the diagonal of a square of the grid of another side.

    Parameters
    ----------
    polygon : shapely Polygon
        All corners lie on the grid.
    grid_px : float

    Returns
    -------
    bool array (rings,)
        In the order of `shapely.get_rings`; of a corner near a side, the rings of both. The two sides that meet at a
        corner are not near it. A ring without area in which corners repeat is near itself.
    """
    rings = shapely.get_rings(polygon)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    within = ring[1:] == ring[:-1]
    # The last point of a ring repeats its first one, so each corner begins one side. On the grid, steps are whole.
    steps = np.rint(points / grid_px).astype(np.int32)
    start, end, owner = steps[:-1][within], steps[1:][within], ring[:-1][within]
    del points, ring, steps, within
    following = np.arange(1, len(owner) + 1)
    first = np.searchsorted(owner, np.arange(len(rings)))
    following[np.append(first[1:], len(owner)) - 1] = first
    found = np.zeros(len(rings), bool)
    for side, corner in _pairs(start, end):
        of_side = start[side]
        along, to_corner = (end[side] - of_side).astype(np.float64), (start[corner] - of_side).astype(np.float64)
        length2 = (along**2).sum(axis=1)
        forward = (to_corner * along).sum(axis=1)
        aside = to_corner[:, 0] * along[:, 1] - to_corner[:, 1] * along[:, 0]
        near = (forward >= 0) & (forward <= length2) & (2 * aside**2 <= length2)
        near &= (corner != side) & (corner != following[side]) | (length2 == 0)
        found[owner[side[near]]] = found[owner[corner[near]]] = True
    return found


def _pairs(start: NDArray[np.int32], end: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of a side and a corner, among them all in which the corner lies within a step of the side."""
    origin = start.min(axis=0) - 2 * _REACH
    size = max(4 * _REACH, _CELL_SIDES * float(np.abs(end - start).mean()))
    # The corners in row-major order of their cells: those in a row of cells beside one another are one run.
    width = int((start[:, 0].max() - origin[0]) / size) + 3
    key = ((start[:, 1] - origin[1]) // size).astype(np.int64) * width
    key += ((start[:, 0] - origin[0]) // size).astype(np.int64)
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
