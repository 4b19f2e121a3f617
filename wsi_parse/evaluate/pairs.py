"""Pairs of objects that overlap, with their common area, computed on polygons."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import UsageError
from wsi_parse.evaluate.intersection import intersection_areas

# Objects, or pairs, processed together.
_AT_ONCE = 100_000
# Pairs of bounding boxes that meet, processed together.
_MAX_AT_ONCE = 2_000_000
# More overlaps than both of these do not occur in tissue: the same file was imported many times.
_MAX_PAIRS, _MAX_EACH = 5_000_000, 50
# From this number of corners on it is faster to find first which small objects a large one covers.
_LARGE_CORNERS = 256


@dataclass(frozen=True)
class Pairs:
    """Overlapping objects of two object sets.

    Parameters
    ----------
    one, other : int arrays (N,)
        Indices of objects; sorted by `one`, then by `other`.
    area : float array (N,)
        Common area, above 0.
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.one)

    def where(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Return the chosen pairs."""
        return Pairs(self.one[chosen], self.other[chosen], self.area[chosen])


def overlapping(one: NDArray[np.object_], other: NDArray[np.object_]) -> Pairs:
    """Find all pairs of objects that have a common area.

    Parameters
    ----------
    one, other : object arrays (N,), (M,)
        Valid shapely Polygons and MultiPolygons in one frame.
    """
    return _found(one, other, same=False)


def overlapping_itself(shapes: NDArray[np.object_]) -> Pairs:
    """Find all pairs of objects of one set that have a common area, each pair once (`one` < `other`)."""
    return _found(shapes, shapes, same=True)


def _found(one: NDArray[np.object_], other: NDArray[np.object_], *, same: bool) -> Pairs:
    tree = shapely.STRtree(other)
    parts = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    count, most = 0, max(_MAX_PAIRS, _MAX_EACH * max(len(one), len(other)))
    for start, end in _pieces(one, other):
        left, right = tree.query(one[start:end])
        left += start
        if same:
            left, right = left[left < right], right[left < right]
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        area = areas_in_common(one[left], other[right])
        parts.append(Pairs(left, right, area).where(area > 0))
        count += len(parts[-1])
        if count > most:
            raise UsageError(
                f"Objects overlap one another too often: {len(one):,} and {len(other):,} make over {most:,} pairs.",
                "Check with `wsi-parse check` whether the same objects were imported several times.",
            )
    return Pairs(
        np.concatenate([part.one for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.area for part in parts]),
    )


def _pieces(one: NDArray[np.object_], other: NDArray[np.object_]) -> Iterator[tuple[int, int]]:
    """Split a set so that each piece meets a bounded number of boxes of the other set, or is one object."""
    if not len(one) or not len(other):
        return
    boxes, others = shapely.bounds(one), shapely.bounds(other)
    # Boxes that share columns or rows may meet: this is an upper bound.
    meeting = np.minimum(*(_spanned(boxes[:, (axis, axis + 2)], others[:, (axis, axis + 2)]) for axis in (0, 1)))
    sums = np.cumsum(meeting)
    start = 0
    while start < len(one):
        before = int(sums[start - 1]) if start else 0
        end = int(np.searchsorted(sums, before + _MAX_AT_ONCE, "right"))
        end = min(max(end, start + 1), start + _AT_ONCE)
        yield start, end
        start = end


def _spanned(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count for each interval the intervals of the other set that it meets."""
    begun = np.searchsorted(np.sort(other[:, 0]), one[:, 1], "right")
    over = np.searchsorted(np.sort(other[:, 1]), one[:, 0], "left")
    return np.asarray(np.maximum(begun - over, 0), np.int64)


def areas_in_common(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return :func:`intersection_areas`, faster for shapes that are equal or cover one another."""
    starts = range(0, len(one), _AT_ONCE)
    return np.concatenate(
        [np.empty(0), *(_areas(one[start : start + _AT_ONCE], other[start : start + _AT_ONCE]) for start in starts)]
    )


def _areas(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.float64]:
    areas = np.full(len(one), np.nan)
    counts = shapely.get_num_coordinates(one), shapely.get_num_coordinates(other)
    alike = np.flatnonzero((counts[0] == counts[1]) & (shapely.bounds(one) == shapely.bounds(other)).all(axis=1))
    same = shapely.equals_exact(one[alike], other[alike])
    turned = alike[~same]
    turned = turned[shapely.equals_exact(shapely.normalize(one[turned]), shapely.normalize(other[turned]))]
    alike = np.concatenate([alike[same], turned])
    areas[alike] = shapely.area(one[alike])
    for shapes, others, corners in ((one, other, counts[0]), (other, one, counts[1])):
        large = np.flatnonzero((corners > _LARGE_CORNERS) & np.isnan(areas))
        shapely.prepare(shapes[large])
        apart = ~shapely.intersects(shapes[large], others[large])
        held = ~apart & shapely.covers(shapes[large], others[large])
        areas[large[apart]] = 0
        areas[large[held]] = shapely.area(others[large[held]])
        shapely.destroy_prepared(shapes[large])
    rest = np.isnan(areas)
    areas[rest] = intersection_areas(one[rest], other[rest])
    return areas
