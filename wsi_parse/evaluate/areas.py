"""Areas covered by many objects, overlaps counted once: exact, in memory bounded by the objects themselves.

No union is computed. Each object loses what it has in common with larger ones of its object set; the remaining pieces
cover the same area and do not overlap, so areas and intersections are sums over objects and pairs.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.pairs import Pairs, areas_in_common

# Relative to the area of an object; smaller differences come from rounding.
_NEGLIGIBLE = 1e-9


class Pieces:
    """Objects of one object set, cut so that none overlaps another.

    Parameters
    ----------
    shapes : object array (N,)
        Valid shapely Polygons and MultiPolygons.
    changed : bool array (N,), optional
        Which shapes have changed since the pairs were found.
    """

    def __init__(self, shapes: NDArray[np.object_], changed: NDArray[np.bool_] | None = None) -> None:
        self.shapes = shapes
        self.changed = np.zeros(len(shapes), bool) if changed is None else changed
        self.area = np.asarray(shapely.area(shapes), np.float64)

    def clipped(self, region: Any) -> "Pieces":  # noqa: ANN401 - a shapely geometry
        """Clip the pieces to a region."""
        shapely.prepare(region)
        cut = ~shapely.covers(region, self.shapes)
        shapes = self.shapes.copy()
        shapes[cut] = polygons_only(shapely.intersection(shapes[cut], region))
        return Pieces(shapes, self.changed | cut)

    def without_overlaps(self, overlaps: Pairs) -> "Pieces":
        """Remove from each object what a larger one also covers; `overlaps` are pairs of this object set."""
        if not len(overlaps):
            return self
        rank = np.empty(len(self.area), np.int64)
        rank[np.lexsort((np.arange(len(self.area)), -self.area))] = np.arange(len(self.area))
        first = rank[overlaps.one] < rank[overlaps.other]
        small, large = np.where(first, overlaps.other, overlaps.one), np.where(first, overlaps.one, overlaps.other)
        shapes, changed = self.shapes.copy(), self.changed.copy()
        held = (overlaps.area >= (1 - _NEGLIGIBLE) * self.area[small]) & ~self.changed[small]
        shapes[small[held]] = _EMPTY
        changed[small] = True
        rest = ~np.isin(small, small[held])
        order = np.argsort(small[rest], kind="stable")
        small, large = small[rest][order], large[rest][order]
        # First the largest overlapping object of each, then the second, and so on.
        starts = np.flatnonzero(np.diff(small, prepend=-1))
        turn = np.arange(len(small)) - np.repeat(starts, np.diff(starts, append=len(small)))
        for number in range(int(turn.max(initial=-1)) + 1):
            now = turn == number
            shapes[small[now]] = polygons_only(shapely.difference(shapes[small[now]], self.shapes[large[now]]))
        return Pieces(shapes, changed)


_EMPTY = shapely.Polygon()


def common_areas(truth: Pieces, pred: Pieces, pairs: Pairs) -> NDArray[np.float64]:
    """Return for each pair of objects the area that their pieces have in common."""
    area = pairs.area.copy()
    changed = truth.changed[pairs.one] | pred.changed[pairs.other]
    area[changed] = areas_in_common(truth.shapes[pairs.one[changed]], pred.shapes[pairs.other[changed]])
    return area


def polygons_only(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Remove the lines and points that intersections leave where outlines touch."""
    shapes = np.asarray(shapes, object).copy()
    mixed = np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
    for index in mixed.tolist():
        parts = shapely.get_parts(shapely.get_parts(shapes[index]))
        shapes[index] = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    shapes[shapely.get_dimensions(shapes) < 2] = _EMPTY
    return shapes
