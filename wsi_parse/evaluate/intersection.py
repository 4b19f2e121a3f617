"""Areas of intersection of many pairs of polygons, exact to float precision, without computing the intersections.

An outline is a sum of signed strips, from each edge down to a common base. The area common to two outlines is then
the sum, over pairs of edges e and f, of sign(e) sign(f) integral min(e(x), f(x)) dx over the x that both span. With
min(e, f) = (e + f - abs(e - f)) / 2, the term (e + f) / 2 cancels, because a closed outline passes each x equally
often in both directions, and what is left is

    area = -1/2 sum over e, f of sign(e) sign(f) integral abs(e(x) - f(x)) dx,

The terms hold differences only, so no digits are lost far from the origin. GEOS takes five times as long for cells.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

# Above this number of pairs of edges GEOS is faster, because it sorts the edges first.
_MAX_EDGE_PAIRS = 1 << 15
_MAX_CORNERS = 1 << 10
# Pairs of edges computed together; they fit into the processor's caches.
_AT_ONCE = 1 << 18
_CORNERS_AT_ONCE = 400_000
# Relative to the smaller area; less comes from rounding, and the two only touch.
_NEGLIGIBLE = 1e-9
# A narrower edge covers no area that double precision can represent.
_UPRIGHT = 1e-10


def intersection_areas(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the area that each two shapes have in common.

    Parameters
    ----------
    one, other : object arrays (N,)
        Valid shapely Polygons and MultiPolygons.

    Returns
    -------
    float array (N,)
        In square units of the coordinates; 0 if they only touch.

    >>> two = shapely.box([0, 0], [0, 0], [2, 2], [2, 2])
    >>> intersection_areas(two, shapely.box([1, 2], [1, 0], [3, 4], [3, 2])).tolist()
    [1.0, 0.0]
    """
    areas = np.zeros(len(one))
    corners = shapely.get_num_coordinates(one).astype(np.int64), shapely.get_num_coordinates(other).astype(np.int64)
    large = (corners[0] * corners[1] > _MAX_EDGE_PAIRS) | (np.maximum(*corners) > _MAX_CORNERS)
    large &= np.minimum(*corners) > 0
    areas[large] = shapely.area(shapely.intersection(one[large], other[large]))
    small = np.flatnonzero(~large & (np.minimum(*corners) > 0))
    part = np.cumsum((corners[0] + corners[1])[small]) // _CORNERS_AT_ONCE
    for which in np.split(small, np.flatnonzero(np.diff(part)) + 1):
        areas[which] = _areas(one[which], other[which])
    smaller = np.minimum(shapely.area(one), shapely.area(other))
    return np.where(areas > _NEGLIGIBLE * smaller, np.minimum(areas, smaller), 0.0)


def _areas(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.float64]:
    areas = np.zeros(len(one))
    if not len(one):
        return areas
    edges = _Edges.of(one), _Edges.of(other)
    # Shapes of similar length together, so that little padding is needed.
    order = np.lexsort((edges[1].counts, edges[0].counts))
    start = 0
    while start < len(order):
        longest = edges[0].counts[order[start:]], edges[1].counts[order[start:]]
        # All are padded to the longest, so compute how many fit.
        needed = np.maximum.accumulate(longest[0]) * np.maximum.accumulate(longest[1])
        size = max(1, int(np.searchsorted(needed * np.arange(1, len(needed) + 1), _AT_ONCE, "right")))
        which = order[start : start + size]
        areas[which] = _sums(edges[0].padded(which), edges[1].padded(which))
        start += size
    return areas


@dataclass(frozen=True)
class _Edges:
    """Edges of many shapes, from left to right, without vertical ones."""

    # (E, 5): x of the left end, y there, x of the right end, slope, sign.
    table: NDArray[np.float64]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, shapes: NDArray[np.object_]) -> "_Edges":
        _, points, offsets = shapely.to_ragged_array(shapely.orient_polygons(shapes), include_z=False)
        ends = offsets[0]
        for more in offsets[1:]:
            ends = ends[more]
        owner = np.repeat(np.arange(len(shapes)), np.diff(ends))[:-1]
        begin, end = points[:-1], points[1:]
        real = np.abs(begin[:, 0] - end[:, 0]) > _UPRIGHT
        # The step from the last point of a ring to the first of the next is not an edge.
        real[offsets[0][1:-1] - 1] = False
        begin, end, owner = begin[real], end[real], owner[real]
        forth = begin[:, 0] < end[:, 0]
        left, right = np.where(forth[:, None], begin, end), np.where(forth[:, None], end, begin)
        slope = (right[:, 1] - left[:, 1]) / (right[:, 0] - left[:, 0])
        table = np.column_stack([left, right[:, 0], slope, np.where(forth, -1.0, 1.0)])
        counts = np.bincount(owner, minlength=len(shapes))
        return cls(table, np.cumsum(counts) - counts, counts)

    def padded(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the edges of some shapes as (5, shapes, edges); added edges span no x."""
        step = np.arange(self.counts[which].max())
        there = step < self.counts[which][:, None]
        table = self.table[np.where(there, self.first[which][:, None] + step, 0)]
        table[~there] = (np.inf, 0.0, -np.inf, 0.0, 0.0)
        return np.ascontiguousarray(np.moveaxis(table, 2, 0))


def _sums(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    left = np.maximum(one[0][:, :, None], other[0][:, None, :])
    right = np.minimum(one[2][:, :, None], other[2][:, None, :])
    shape, meeting = left.shape, np.flatnonzero(left < right)
    left, right = left.ravel()[meeting], right.ravel()[meeting]
    first, second = np.divmod(meeting, shape[2])
    second += first // shape[1] * shape[2]
    x_one, y_one, slope_one, sign_one = (one[column].ravel()[first] for column in (0, 1, 3, 4))
    x_other, y_other, slope_other, sign_other = (other[column].ravel()[second] for column in (0, 1, 3, 4))
    y = y_one - y_other
    apart_left = y + slope_one * (left - x_one) - slope_other * (left - x_other)
    apart_right = y + slope_one * (right - x_one) - slope_other * (right - x_other)
    both = np.abs(apart_left) + np.abs(apart_right)
    # Where the edges cross, two triangles, else a trapezium: one formula for both.
    high = apart_left**2 + apart_right**2 + 2 * np.maximum(apart_left * apart_right, 0)
    terms = sign_one * sign_other * (right - left) * np.divide(high, both, np.zeros_like(both), where=both > 0)
    return np.asarray(-0.25 * np.bincount(first // shape[1], terms, shape[0]), np.float64)
