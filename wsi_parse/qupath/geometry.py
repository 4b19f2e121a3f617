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
_MAX_ROUNDS = 5
# Larger rings are left to the geometry engine: the check looks at all pairs of a vertex and a side.
_MAX_CORNERS = 64
_PAIRS_AT_ONCE = 1 << 19


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
    fitted = np.array(geometry, object)
    moving = ~is_snapped(fitted)
    fitted[moving] = _fit(fitted[moving])
    return fitted


def is_snapped(geometry: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes are fit already: snapping would give them back as they are.

    Snapping moves a side to each vertex whose cell of the grid it crosses. A valid ring on the grid has none of these
    where each vertex is farther than half the diagonal of a cell from all sides but its own two.

    Parameters
    ----------
    geometry : object array (N,)

    Returns
    -------
    bool array (N,)
        Never true for shapes with holes, of several parts, or with more than 64 corners.
    """
    corners = shapely.get_num_coordinates(geometry) - 1
    still = (shapely.get_type_id(geometry) == _POLYGON) & (corners <= _MAX_CORNERS) & shapely.is_valid(geometry)
    still &= (shapely.get_num_interior_rings(geometry) == 0) & (shapely.area(geometry) > 0)
    # Rings of equal length at once, and not too many.
    for count in np.unique(corners[still]):
        which = np.flatnonzero(still & (corners == count))
        for part in np.array_split(which, -(-len(which) * count**2 // _PAIRS_AT_ONCE)):
            # Every ring ends with its first point once more.
            cells = shapely.get_coordinates(geometry[part]).reshape(len(part), count + 1, 2)[:, :-1] / GRID_PX
            on_grid = (cells == np.rint(cells)).all(axis=(1, 2))
            still[part] = on_grid & ~_comes_near(cells[..., 0], cells[..., 1])
    return still


def _comes_near(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rings (rows of x and y, whole numbers) have a corner within sqrt(1/2) of another's side."""
    along_x, along_y = np.roll(x, -1, 1) - x, np.roll(y, -1, 1) - y
    length2 = (along_x**2 + along_y**2)[:, None]
    # (ring, corner, side): from the side's begin to the corner.
    from_x, from_y = x[:, :, None] - x[:, None], y[:, :, None] - y[:, None]
    forward = from_x * along_x[:, None] + from_y * along_y[:, None]
    aside = from_x * along_y[:, None] - from_y * along_x[:, None]
    near = (forward >= 0) & (forward <= length2) & (2 * aside**2 <= length2)
    corner = np.arange(x.shape[1])
    # The two sides that a corner ends.
    near[:, corner, corner] = near[:, corner, corner - 1] = False
    near[:, corner, corner] = (along_x == 0) & (along_y == 0)
    return np.asarray(near.any(axis=(1, 2)))


def _fit(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    points = np.rint(shapely.get_coordinates(geometry) * _FINE) / _FINE
    moved = shapely.set_coordinates(geometry, points)
    try:
        fitted = _snapped(moved)
    except shapely.GEOSException:
        # Some outlines that collapse to lines are too odd to be mended all at once.
        fitted = np.array([_made_valid_and_snapped(shape) for shape in moved], object)
    for index in np.flatnonzero((shapely.get_type_id(fitted) != _POLYGON) | (shapely.area(fitted) <= 0)):
        fitted[index] = snap_until_stable(fitted[index])
    return fitted


def _snapped(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.atleast_1d(shapely.set_precision(shapely.make_valid(shapes), GRID_PX))


def _made_valid_and_snapped(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    try:
        return shapely.set_precision(shapely.make_valid(shape), GRID_PX)
    except shapely.GEOSException:
        areas = shapely.make_valid(shape, method="structure", keep_collapsed=False)
        return shapely.set_precision(areas, GRID_PX)


def snap_until_stable(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Snap parts that touch again, until nothing moves; then fitting twice is fitting once."""
    shape = polygonal_parts(shape)
    for _ in range(_MAX_ROUNDS):
        if shape is None or shapely.get_type_id(shape) == _POLYGON:
            break
        again = polygonal_parts(_made_valid_and_snapped(shape))
        if again is None or shapely.normalize(again) == shapely.normalize(shape):
            break
        shape = again
    return shape


def polygonal_parts(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Keep the polygons of a collection; None where there are none."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[(shapely.get_type_id(parts) == _POLYGON) & (shapely.area(parts) > 0)]
    if not len(parts):
        return None
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
