"""Closed rings as ragged arrays: half a million of them take a fifth of the memory that polygons of shapely take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

# Whose shapes are made at once.
_AT_ONCE = 1 << 14


def ragged_index(first: NDArray[np.integer], sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the numbers of all elements of some rows, which begin at `first` and hold `sizes` elements each."""
    index = np.repeat(first - np.cumsum(sizes) + sizes, sizes)
    index += np.arange(len(index))
    return index


@dataclass(frozen=True)
class Rings:
    """Closed rings: ring i holds points ``offsets[i]`` to ``offsets[i + 1]``, of which the last repeats the first.

    Parameters
    ----------
    points : float array (N, 2)
        (x, y), in a frame that is told where rings are handed on.
    offsets : int array (rings + 1,)
    """

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of_sizes(cls, points: NDArray[np.float64], sizes: NDArray[np.integer]) -> "Rings":
        """Build rings of some points, of which each takes the next few."""
        return cls(points, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]))

    @classmethod
    def of_shapes(cls, shapes: NDArray[np.object_]) -> "Rings":
        """Collect the rings of shapely polygons, outer ones and holes, polygon by polygon."""
        rings = shapely.get_rings(shapes)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        return cls(points, np.searchsorted(ring, np.arange(len(rings) + 1)))

    @classmethod
    def joined(cls, parts: Sequence["Rings"]) -> "Rings":
        """Build one of several, in their order."""
        points = np.concatenate([np.empty((0, 2)), *(part.points for part in parts)])
        return cls.of_sizes(points, np.concatenate([np.empty(0, np.int64), *(part.sizes for part in parts)]))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many points each has, with the last one."""
        return np.diff(self.offsets)

    def part(self, first: int, last: int) -> "Rings":
        """Return those from one number to another, without copying points."""
        ends = self.offsets[first : last + 1]
        return Rings(self.points[ends[0] : ends[-1]], ends - ends[0])

    def parts(self, at_once: int) -> Iterator["Rings"]:
        """Yield some at a time, in their order, without copying points."""
        for first in range(0, len(self), at_once):
            yield self.part(first, min(first + at_once, len(self)))

    def take(self, which: NDArray[np.integer]) -> "Rings":
        """Return some, by their numbers."""
        sizes = self.sizes[which]
        return Rings.of_sizes(self.points[ragged_index(self.offsets[which], sizes)], sizes)

    def areas(self) -> NDArray[np.float64]:
        """Return the area (rings,) that each encloses, whatever its direction."""
        return np.abs(self._twice_areas()) / 2 if len(self) else np.empty(0)

    def boxes(self) -> NDArray[np.float64]:
        """Return left, top, right and bottom (rings, 4) of each."""
        first = self.offsets[:-1]
        low, high = (bound.reduceat(self.points, first, axis=0) for bound in (np.minimum, np.maximum))
        return np.concatenate([low, high], axis=1)

    def shapes(self) -> NDArray[np.object_]:
        """Return a shapely polygon without holes for each."""
        return self.polygons(np.arange(len(self) + 1))

    def polygons(self, ends: NDArray[np.integer]) -> NDArray[np.object_]:
        """Return shapely polygons: number i has the rings ``ends[i]`` to ``ends[i + 1]``, the outer one first."""
        made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self.points, (self.offsets, ends))
        return np.asarray(made, object)

    def polygon(self) -> shapely.Polygon:
        """Return one shapely polygon: the first ring with all others as its holes."""
        return self.polygons(np.array([0, len(self)]))[0]

    def polygon_area(self) -> float:
        """Return the area of :meth:`polygon`."""
        areas = [shapely.area(part.shapes()) for part in self.parts(_AT_ONCE)]
        return float(np.subtract.accumulate(np.concatenate(areas))[-1])

    def polygon_centroid(self) -> NDArray[np.float64]:
        """Return the centroid (x, y) of :meth:`polygon`, from the triangles that its sides form with its first point.

        Sums are taken in the order in which GEOS takes them, so that the result is the same to the last bit.
        """
        sums, corner = np.zeros(3), self.points[0]
        for number, part in enumerate(self.parts(_AT_ONCE)):
            is_side = np.ones(len(part.points) - 1, bool)
            is_side[part.offsets[1:-1] - 1] = False
            a, b = part.points[:-1][is_side], part.points[1:][is_side]
            twice = (a[:, 0] - corner[0]) * (b[:, 1] - corner[1]) - (b[:, 0] - corner[0]) * (a[:, 1] - corner[1])
            sign = np.where(part.counterclockwise(), 1.0, -1.0)
            if not number:
                sign[0] = -sign[0]
            twice *= np.repeat(sign, part.sizes - 1)
            terms = np.column_stack([twice[:, None] * ((corner + a) + b), twice])
            sums = np.cumsum(np.concatenate([sums[None], terms]), axis=0)[-1]
        return np.asarray(sums[:2] / 3 / sums[2])

    def counterclockwise(self) -> NDArray[np.bool_]:
        """Return which run counterclockwise, y up."""
        return np.asarray(self._twice_areas() > 0)

    def _twice_areas(self) -> NDArray[np.float64]:
        x, y = self.points.T
        twice = x * np.roll(y, -1) - np.roll(x, -1) * y
        # No side leads from the last point of a ring to the first point of the next.
        twice[self.offsets[1:] - 1] = 0
        return np.asarray(np.add.reduceat(twice, self.offsets[:-1]))


def bands(rings: Rings, at_once: int, reach: float = 0.0) -> Iterator[tuple[NDArray[np.int64], float, float]]:
    """Yield the numbers of the rings that reach into one band of heights after another, and its least and largest y.

    Any two rings that meet, or come as near as `reach`, are in one of them, in whose heights they do. About `at_once`
    rings begin in each band. Heights and `reach` are in the frame of the rings.
    """
    if not len(rings):
        return
    tops, bottoms = rings.boxes()[:, 1::2].T
    heights = np.unique(np.sort(tops)[::at_once])
    for top, bottom in pairwise([*heights.tolist(), np.inf]):
        yield np.flatnonzero((tops - reach < bottom) & (bottoms + reach >= top)), top, bottom
