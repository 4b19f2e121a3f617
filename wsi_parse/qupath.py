"""Geometry that every QuPath takes: valid, on a quarter-pixel grid, polygons only.

QuPath v0.6 and v0.7 throw on an invalid polygon, and snap to a grid of their own: what is merely valid may fail there.
Snapping to a coarser grid that float32 can hold, as the last step, never did.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

GRID_PX = 0.25
# Before anything else: numbers next to zero only trouble the geometry engine.
_FINE = float(1 << 20)
_POLYGON = int(shapely.GeometryType.POLYGON)
_MOST_ROUNDS = 5


def fit_for_qupath(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make shapes valid, then snap them to the grid; nothing may be rounded afterwards.

    Parameters
    ----------
    geometry : object array (N,)
        shapely polygons in level-0 pixels.

    Returns
    -------
    object array (N,)
        Polygons, or MultiPolygons of two parts or more; None where no area is left.
    """
    points = np.rint(shapely.get_coordinates(geometry) * _FINE) / _FINE
    moved = shapely.set_coordinates(np.array(geometry, object), points)
    try:
        fitted = _snapped(moved)
    except shapely.GEOSException:
        # Some outlines that collapse to lines are too odd to be mended all at once.
        fitted = np.array([_mended(shape) for shape in moved], object)
    for index in np.flatnonzero((shapely.get_type_id(fitted) != _POLYGON) | (shapely.area(fitted) <= 0)):
        fitted[index] = _settled(fitted[index])
    return fitted


def _snapped(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.atleast_1d(shapely.set_precision(shapely.make_valid(shapes), GRID_PX))


def _mended(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    try:
        return shapely.set_precision(shapely.make_valid(shape), GRID_PX)
    except shapely.GEOSException:
        areas = shapely.make_valid(shape, method="structure", keep_collapsed=False)
        return shapely.set_precision(areas, GRID_PX)


def _settled(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Snap parts that touch again, until nothing moves; then fitting twice is fitting once."""
    shape = _solid(shape)
    for _ in range(_MOST_ROUNDS):
        if shape is None or shapely.get_type_id(shape) == _POLYGON:
            break
        again = _solid(_mended(shape))
        if again is None or shapely.normalize(again) == shapely.normalize(shape):
            break
        shape = again
    return shape


def _solid(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Keep the polygons of a collection; None where there are none."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[(shapely.get_type_id(parts) == _POLYGON) & (shapely.area(parts) > 0)]
    if not len(parts):
        return None
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
