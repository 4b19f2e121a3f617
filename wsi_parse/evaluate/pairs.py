"""Pairs of objects that overlap, with the area they have in common; nothing is rasterised."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.intersection import intersection_areas

_AT_ONCE = 100_000
# From here on it pays to ask first which small ones a large one holds whole.
_LARGE_CORNERS = 256


@dataclass(frozen=True)
class Pairs:
    """Overlapping objects of two sides.

    Parameters
    ----------
    one, other : int arrays (N,)
        Indices of objects; sorted by `one`, then by `other`.
    area : float array (N,)
        In common, above 0.
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.one)

    def where(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Return some of them."""
        return Pairs(self.one[chosen], self.other[chosen], self.area[chosen])


def overlapping(one: NDArray[np.object_], other: NDArray[np.object_]) -> Pairs:
    """Find all pairs of objects that have area in common.

    Parameters
    ----------
    one, other : object arrays (N,), (M,)
        Valid shapely Polygons and MultiPolygons in one frame.
    """
    return _found(one, other, same=False)


def overlapping_itself(shapes: NDArray[np.object_]) -> Pairs:
    """Find all pairs of objects of one side that have area in common, each pair once (`one` < `other`)."""
    return _found(shapes, shapes, same=True)


def _found(one: NDArray[np.object_], other: NDArray[np.object_], *, same: bool) -> Pairs:
    tree = shapely.STRtree(other)
    parts = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for start in range(0, len(one), _AT_ONCE):
        left, right = tree.query(one[start : start + _AT_ONCE])
        left += start
        if same:
            left, right = left[left < right], right[left < right]
        order = np.lexsort((right, left))
        left, right = left[order], right[order]
        area = areas_in_common(one[left], other[right])
        parts.append(Pairs(left, right, area).where(area > 0))
    return Pairs(
        np.concatenate([part.one for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.area for part in parts]),
    )


def areas_in_common(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return what :func:`intersection_areas` does, sooner where one of the two equals the other or holds it whole."""
    areas = np.full(len(one), np.nan)
    counts = shapely.get_num_coordinates(one), shapely.get_num_coordinates(other)
    alike = np.flatnonzero((counts[0] == counts[1]) & (shapely.bounds(one) == shapely.bounds(other)).all(axis=1))
    alike = alike[shapely.equals_exact(shapely.normalize(one[alike]), shapely.normalize(other[alike]))]
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
