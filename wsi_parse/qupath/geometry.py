"""Geometry that every version of QuPath imports: valid polygons on a quarter-pixel grid.

QuPath v0.6 and v0.7 refuse an invalid polygon, and round to a grid of their own, where a valid polygon may become
invalid. A polygon that was snapped to a coarser grid, which float32 can hold, as the last step never failed.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings
from wsi_parse.qupath.by_rings import snapped_by_rings
from wsi_parse.qupath.snapping import GRID_PX, made_valid_and_snapped

# All coordinates are first rounded to 1 / this: numbers close to zero make the geometry engine fail.
_FINE = float(1 << 20)
_POLYGON = int(shapely.GeometryType.POLYGON)
_MAX_ROUNDS = 5
# Larger rings are always snapped, because the check compares each vertex with each side.
_MAX_CORNERS = 64
_PAIRS_AT_ONCE = 1 << 19
#: A polygon with more corners is snapped ring by ring.
LARGE_CORNERS = 5_000


def fit_for_qupath(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make shapes valid, then snap them to the 0.25 px grid; coordinates must not be rounded afterwards.

    Parameters
    ----------
    geometry : object array (N,)
        shapely polygons in level-0 pixels.

    Returns
    -------
    object array (N,)
        Polygons, or MultiPolygons of two parts or more, in level-0 pixels; None where no area is left.
    """
    fitted = np.array(geometry, object)
    unsnapped = ~is_snapped(fitted)
    fitted[unsnapped] = _fit(fitted[unsnapped])
    return fitted


def is_snapped(geometry: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes are fit already, so that snapping would not change them.

    Snapping moves a side to each vertex whose square of the grid the side crosses. A valid ring on the grid stays as
    it is if each vertex is farther than half the diagonal of a square from all sides but its own two.

    Parameters
    ----------
    geometry : object array (N,)
        shapely geometries in level-0 pixels.

    Returns
    -------
    bool array (N,)
        Always False for shapes with holes, with several parts, or with more than 64 corners.
    """
    corners = shapely.get_num_coordinates(geometry) - 1
    snapped = (shapely.get_type_id(geometry) == _POLYGON) & (corners <= _MAX_CORNERS)
    snapped &= (shapely.get_num_interior_rings(geometry) == 0) & (shapely.area(geometry) > 0)
    snapped[snapped] = shapely.is_valid(geometry[snapped])
    # Rings with equally many corners are checked together, but not too many at once.
    for count in np.unique(corners[snapped]):
        which = np.flatnonzero(snapped & (corners == count))
        for part in np.array_split(which, -(-len(which) * count**2 // _PAIRS_AT_ONCE)):
            # The last point of a ring repeats its first one.
            steps = shapely.get_coordinates(geometry[part]).reshape(len(part), count + 1, 2)[:, :-1] / GRID_PX
            on_grid = (steps == np.rint(steps)).all(axis=(1, 2))
            snapped[part] = on_grid & ~_comes_near(steps[..., 0], steps[..., 1])
    return snapped


def _comes_near(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rings (rows of x and y, whole numbers) have a corner within sqrt(1/2) of a side of other corners."""
    along_x, along_y = np.roll(x, -1, 1) - x, np.roll(y, -1, 1) - y
    length2 = (along_x**2 + along_y**2)[:, None]
    # Arrays (ring, corner, side): vectors from the start of the side to the corner.
    from_x, from_y = x[:, :, None] - x[:, None], y[:, :, None] - y[:, None]
    forward = from_x * along_x[:, None] + from_y * along_y[:, None]
    aside = from_x * along_y[:, None] - from_y * along_x[:, None]
    near = (forward >= 0) & (forward <= length2) & (2 * aside**2 <= length2)
    corner = np.arange(x.shape[1])
    # The two sides that meet at a corner do not count.
    near[:, corner, corner] = near[:, corner, corner - 1] = False
    near[:, corner, corner] = (along_x == 0) & (along_y == 0)
    return np.asarray(near.any(axis=(1, 2)))


def _fit(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    moved = _finely_rounded(geometry)
    large = shapely.get_num_coordinates(moved) > LARGE_CORNERS
    fitted = np.empty(len(moved), object)
    try:
        fitted[~large] = _snapped(moved[~large])
    except shapely.GEOSException:
        # A polygon that collapses to a line may make GEOS fail, so the shapes are repaired one by one.
        fitted[~large] = [made_valid_and_snapped(shape) for shape in moved[~large]]
    fitted[large] = [_snapped_large(shape) for shape in moved[large]]
    for index in np.flatnonzero((shapely.get_type_id(fitted) != _POLYGON) | (shapely.area(fitted) <= 0)):
        fitted[index] = snap_until_stable(fitted[index])
    points = shapely.get_coordinates(fitted)
    if (np.signbit(points) & (points == 0)).any():
        # Rounding leaves a sign on some zeros, which ids and indices would show.
        fitted = np.asarray(shapely.set_coordinates(fitted, points + 0.0), object)
    return fitted


def _finely_rounded(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    points = shapely.get_coordinates(geometry)
    rounded = np.rint(points * _FINE) / _FINE
    # Not copied in vain, because large areas take much memory. GEOS would not snap what says that it is on the grid.
    noted = shapely.has_z(geometry) | (shapely.get_precision(geometry) > 0)
    if np.array_equal(rounded, points) and not noted.any():
        return geometry
    return np.asarray(shapely.set_coordinates(geometry, rounded), object)


def _snapped(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.atleast_1d(shapely.set_precision(shapely.make_valid(shapes), GRID_PX))


def _snapped_large(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    is_polygon = shapely.get_type_id(shape) == _POLYGON
    rings = snapped_by_rings(Rings.of_shapes(np.array([shape], object))) if is_polygon else None
    return made_valid_and_snapped(shape) if rings is None else rings.polygon()


def snap_until_stable(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Snap a shape of several parts until it does not change any more, so that fitting it twice is fitting it once."""
    shape = polygonal_parts(shape)
    for _ in range(_MAX_ROUNDS):
        if shape is None or shapely.get_type_id(shape) == _POLYGON:
            break
        snapped = polygonal_parts(made_valid_and_snapped(shape))
        if snapped is None or shapely.normalize(snapped) == shapely.normalize(shape):
            break
        shape = snapped
    return shape


def polygonal_parts(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Return the polygons of a collection that have an area, as one shape; None if it has none."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[(shapely.get_type_id(parts) == _POLYGON) & (shapely.area(parts) > 0)]
    if not len(parts):
        return None
    return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
