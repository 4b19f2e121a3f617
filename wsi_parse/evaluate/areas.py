"""Areas covered by many objects, each place once: exact, in memory bounded by the objects themselves.

A union is never made. Each object loses what it has in common with larger ones of its side; the pieces that are left
cover the same area and do not overlap, so areas and intersections are sums over objects and pairs.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.intersection import intersection_areas
from wsi_parse.evaluate.pairs import Pairs

# Of the area of an object; what is less comes from rounding.
_NOTHING = 1e-9


class Pieces:
    """Objects of one side, cut so that none overlaps another.

    Parameters
    ----------
    shapes : object array (N,)
        Valid shapely Polygons and MultiPolygons.
    changed : bool array (N,), optional
        Which are not as they were when pairs were made.
    """

    def __init__(self, shapes: NDArray[np.object_], changed: NDArray[np.bool_] | None = None) -> None:
        self.shapes = shapes
        self.changed = np.zeros(len(shapes), bool) if changed is None else changed
        self.area = np.asarray(shapely.area(shapes), np.float64)

    def clipped(self, region: Any) -> "Pieces":  # noqa: ANN401 - a shapely geometry
        """Cut off what is outside of a region."""
        shapely.prepare(region)
        cut = ~shapely.covers(region, self.shapes)
        shapes = self.shapes.copy()
        shapes[cut] = areas_only(shapely.intersection(shapes[cut], region))
        return Pieces(shapes, self.changed | cut)

    def apart(self, overlaps: Pairs) -> "Pieces":
        """Take from each object what a larger one of `overlaps` (pairs of this side) also covers."""
        if not len(overlaps):
            return self
        rank = np.empty(len(self.area), np.int64)
        rank[np.lexsort((np.arange(len(self.area)), -self.area))] = np.arange(len(self.area))
        first = rank[overlaps.one] < rank[overlaps.other]
        small, large = np.where(first, overlaps.other, overlaps.one), np.where(first, overlaps.one, overlaps.other)
        order = np.argsort(small, kind="stable")
        small, large, common = small[order], large[order], overlaps.area[order]
        shapes = self.shapes.copy()
        starts = np.flatnonzero(np.diff(small, prepend=-1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(small)], strict=True):
            index = small[start]
            held = common[start:stop].max() >= (1 - _NOTHING) * self.area[index] and not self.changed[index]
            shapes[index] = _EMPTY if held else _without(shapes[index], self.shapes[large[start:stop]])
        changed = self.changed.copy()
        changed[small] = True
        return Pieces(shapes, changed)


_EMPTY = shapely.Polygon()


def common_areas(truth: Pieces, pred: Pieces, pairs: Pairs) -> NDArray[np.float64]:
    """Return for each pair of objects the area that their pieces have in common."""
    area = pairs.area.copy()
    again = truth.changed[pairs.one] | pred.changed[pairs.other]
    area[again] = intersection_areas(truth.shapes[pairs.one[again]], pred.shapes[pairs.other[again]])
    return area


def areas_only(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Drop the lines and points that intersections leave where outlines touch."""
    shapes = np.asarray(shapes, object).copy()
    mixed = np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
    for index in mixed.tolist():
        parts = shapely.get_parts(shapely.get_parts(shapes[index]))
        shapes[index] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    shapes[shapely.get_dimensions(shapes) < 2] = _EMPTY
    return shapes


def _without(shape: Any, others: NDArray[np.object_]) -> Any:  # noqa: ANN401 - shapely geometries
    return areas_only(np.array([shapely.difference(shape, shapely.union_all(others))], object))[0]
