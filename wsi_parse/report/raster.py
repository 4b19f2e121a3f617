"""Coverage: how much of each pixel of a picture polygons cover, for whole arrays of polygons at once."""

import numpy as np
import shapely
from numpy.typing import NDArray

#: What a pixel that one polygon covers wholly counts.
WHOLE = 256
# Samples along an edge are closer than a pixel, so that an outline has no gaps.
_SAMPLES_PER_PX = 1.4


class Coverage:
    """Sums of the covered parts of pixels, in whole numbers: the same in any order, and however objects are batched.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture.

    Notes
    -----
    Rings are oriented, so that each edge that crosses the middle of a row adds or takes away all that lies to its
    right: the sums along the rows are the coverage. No polygon is looked at on its own.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        # Two columns more: of what lies beyond the right side.
        self._steps = np.zeros((shape[0], shape[1] + 2), np.int32)

    def add_polygons(self, shapes: NDArray[np.object_], points: NDArray[np.float64]) -> None:
        """Add polygons.

        Parameters
        ----------
        shapes : object array (N,)
            shapely Polygons or MultiPolygons, whose rings are oriented as `shapely.orient_polygons` does.
        points : float array (M, 2)
            Their coordinates, as (x, y) in pixels of the picture.
        """
        start, end, _ = edges(shapes, points)
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        first = np.clip(np.ceil(low - 0.5), 0, self._shape[0]).astype(np.int64)
        count = np.clip(np.ceil(high - 0.5), 0, self._shape[0]).astype(np.int64) - first
        which = np.repeat(np.arange(len(start)), count)
        row = _counted_from(first, count)
        (x0, y0), (x1, y1) = start[which].T, end[which].T
        x = np.clip(x0 + (row + 0.5 - y0) * (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0), 0, self._shape[1])
        column = np.floor(x).astype(np.int64)
        part = np.rint((x - column) * WHOLE).astype(np.int32)
        sign = np.where(y1 < y0, 1, -1).astype(np.int32)
        index = row * self._steps.shape[1] + column
        flat = self._steps.ravel()
        np.add.at(flat, index, sign * (WHOLE - part))
        np.add.at(flat, index + 1, sign * part)

    def add_points(self, points: NDArray[np.float64], area_px: NDArray[np.float64]) -> None:
        """Add objects that are smaller than a pixel or two, each with its area at its middle (N, 2)."""
        column = np.clip(np.floor(points[:, 0]), 0, self._shape[1] - 1).astype(np.int64)
        row = np.clip(np.floor(points[:, 1]), 0, self._shape[0] - 1).astype(np.int64)
        area = np.rint(area_px * WHOLE).astype(np.int32)
        index, flat = row * self._steps.shape[1] + column, self._steps.ravel()
        np.add.at(flat, index, area)
        np.add.at(flat, index + 1, -area)

    def values(self) -> NDArray[np.int32]:
        """Return the coverage, int32 array (rows, columns); :data:`WHOLE` is a pixel that is covered once."""
        return np.cumsum(self._steps, axis=1, dtype=np.int32)[:, : self._shape[1]]


def mark_outlines(mask: NDArray[np.uint8], shapes: NDArray[np.object_], points: NDArray[np.float64], mark: int) -> None:
    """Write a number into the pixels of an array (rows, columns) through which outlines run.

    `shapes` and `points` are as for :meth:`Coverage.add_polygons`; larger numbers stay.
    """
    start, end, _ = edges(shapes, points)
    steps = np.ceil(np.abs(end - start).max(axis=1, initial=0) * _SAMPLES_PER_PX).astype(np.int64) + 1
    which = np.repeat(np.arange(len(start)), steps)
    share = _counted_from(np.zeros_like(steps), steps) / steps[which]
    pixel = np.floor(start[which] + (end - start)[which] * share[:, None]).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < mask.shape[::-1])).all(axis=1)
    columns, rows = pixel[inside].T
    mask[rows, columns] = np.maximum(mask[rows, columns], mark)


def edges(
    shapes: NDArray[np.object_], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return where each edge of each ring begins and ends, (M, 2) each, and the number of its ring (M,)."""
    of_ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shapes)), return_index=True)[1]
    same = of_ring[1:] == of_ring[:-1]
    return points[:-1][same], points[1:][same], of_ring[:-1][same]


def _counted_from(first: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return first, first + 1, …, `count` numbers for each, one after another."""
    ends = np.cumsum(count)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count - first, count)
