"""Rings: the outlines of many objects as flat arrays, which are written, sorted and sent without being decoded."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import ragged_index


@dataclass(frozen=True)
class Rings:
    """The rings of N objects.

    Parameters
    ----------
    of_object : int array (N,)
        Number of rings of each object.
    of_ring : int array (R,)
        Number of points of each ring; the first point is not repeated.
    hole : bool array (R,)
        Which rings are holes.
    points : float array (P, 2)
        x and y.
    """

    of_object: NDArray[np.int64]
    of_ring: NDArray[np.int64]
    hole: NDArray[np.bool_]
    points: NDArray[np.float64]

    @classmethod
    def of(cls, shapes: NDArray[Any]) -> "Rings":
        """Take the rings of polygons and multipolygons.

        >>> rings = Rings.of(np.array([shapely.box(0, 0, 4, 4).difference(shapely.box(1, 1, 2, 2))]))
        >>> rings.of_object.tolist(), rings.of_ring.tolist(), rings.hole.tolist(), len(rings.points)
        ([2], [4, 4], [False, True], 8)
        """
        parts, of_shape = shapely.get_parts(shapes, return_index=True)
        rings, of_part = shapely.get_rings(parts, return_index=True)
        is_hole = np.zeros(len(rings), bool)
        is_hole[1:] = of_part[1:] == of_part[:-1]
        lengths = shapely.get_num_coordinates(rings).astype(np.int64)
        # The last point of a ring is its first.
        kept = np.ones(int(lengths.sum()), bool)
        kept[np.cumsum(lengths) - 1] = False
        of_object = np.bincount(of_shape[of_part], minlength=len(shapes)).astype(np.int64)
        return cls(of_object, lengths - 1, is_hole, shapely.get_coordinates(rings)[kept])

    @property
    def object_of_point(self) -> NDArray[np.int64]:
        """For each point the number of its object, int array (P,)."""
        of_ring = np.repeat(np.arange(len(self.of_object)), self.of_object)
        return np.repeat(of_ring, self.of_ring)


def starts_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the parts of a flat array begin, and its end: (N + 1,).

    >>> starts_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def ragged(starts: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of the items of chosen parts of a flat array, part after part.

    >>> ragged(np.array([0, 2, 2, 5]), np.array([2, 0])).tolist()
    [2, 3, 4, 0, 1]
    """
    return ragged_index(starts[chosen], starts[chosen + 1] - starts[chosen])
