"""Contours on an object lattice become polygons in level-0 pixels with few vertices, the right area, fit for QuPath.

Straight lines cut off convex parts: a tolerance of 0.25 um would cost a nucleus of 6 um 6 % of its area. So each
object is simplified with the largest tolerance that keeps its shape, and its area is restored by scaling it about the
centroid.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings
from wsi_parse.geometry import Frame
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.snapping import GRID_PX

# Marching squares cuts every corner of a pixel contour by 1/8 px2: convex minus concave corners make 1/2 px2 per ring,
# whatever its shape. If this area was not restored, every object would be slightly too small.
_CUT_PX2 = 0.5
# In lattice pixels; tried in this order.
_TOLERANCES_PX = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
# Largest relative error of the final area on the grid; largest share of area that simplification may remove before it
# is restored; and limit of tolerance x perimeter / area.
_AREA_ERROR, _CUT_OFF, _SHAPE = 0.005, 0.02, 0.15
# Restoring the area moves no point farther than this, so that a large contour is not inflated for its cut corners.
_MOVED_PX = 0.5
# How often a polygon is scaled again after snapping changed its area; above this error it is not tried again.
_ROUNDS, _HOPELESS = 6, 0.5
#: A polygon with fewer points, of which the last repeats the first, is a triangle or less.
MIN_POINTS = 5
_POINTS_AT_ONCE = 1 << 18
_POLYGON = int(shapely.GeometryType.POLYGON)


def to_level0(polygons: NDArray[np.object_], frame: Frame, tolerance_px: float | None = None) -> NDArray[np.object_]:
    """Simplify polygons of an object lattice and convert them to level-0 pixels, fit for QuPath.

    Parameters
    ----------
    polygons : object array (N,)
        shapely Polygons in lattice pixels, as traced.
    frame : Frame
        The lattice.
    tolerance_px : float, optional
        Tolerance in lattice pixels for all polygons. None chooses for each polygon the largest tolerance, from 1 down
        to 0, that removes at most 2 % of its area and misses the area by at most 0.5 % after it was restored.

    Returns
    -------
    object array (N,)
        Polygons or MultiPolygons in level-0 pixels; None where nothing is left.
    """
    target = outlined_area(polygons)
    if tolerance_px is not None:
        return fitted_to_area(_simplified(polygons, tolerance_px), target, frame)[0]
    allowed = _SHAPE * target / np.maximum(shapely.length(polygons), 1.0)
    best, miss = np.full(len(polygons), None, object), np.full(len(polygons), np.inf)
    left, tried = np.arange(len(polygons)), np.zeros(len(polygons), np.int64)
    while len(left):
        # All that are left are fitted at once, each with the largest tolerance that keeps its shape; else as traced.
        simplified, tried[left] = _with_next_tolerance(polygons[left], target[left], allowed[left], tried[left])
        shapes, error = fitted_to_area(simplified, target[left], frame)
        last = tried[left] > len(_TOLERANCES_PX)
        better = (error < miss[left]) & (last | _same_parts(shapes, polygons[left])) | last & ~np.isfinite(miss[left])
        best[left[better]], miss[left[better]] = shapes[better], error[better]
        left = left[~last & (miss[left] > _AREA_ERROR)]
    return best


def _with_next_tolerance(
    polygons: NDArray[np.object_], target: NDArray[np.float64], allowed: NDArray[np.float64], tried: NDArray[np.int64]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Simplify each polygon with the next tolerance that is allowed and keeps its shape; else it stays as it is.

    Parameters
    ----------
    polygons : object array (N,)
    target, allowed : float array (N,)
        Their areas, and the largest tolerance of each.
    tried : int array (N,)
        How many of the tolerances each was tried with.

    Returns
    -------
    polygons : object array (N,)
    tried : int array (N,)
        Now; larger than the number of tolerances if none is left.
    """
    simplified, now = polygons.copy(), np.full(len(polygons), len(_TOLERANCES_PX) + 1)
    left = np.arange(len(polygons))
    for number, tolerance in enumerate(_TOLERANCES_PX, 1):
        of = left[(tried[left] < number) & (tolerance <= allowed[left])]
        if not len(of):
            continue
        shapes = _simplified(polygons[of], tolerance)
        kept = _keeps_shape(polygons[of], shapes, target[of])
        simplified[of[kept]], now[of[kept]] = shapes[kept], number
        left = left[now[left] > len(_TOLERANCES_PX)]
    return simplified, now


def shared_to_level0(polygons: NDArray[np.object_], frame: Frame) -> NDArray[np.object_]:
    """Convert polygons that share borders to level-0 pixels point by point, so that they still share them.

    Only vertices on straight lines are left out, and the corners that tracing cut are not restored: for a cell of
    100 um2 at 0.5 um/px that is 0.1 %.

    Parameters
    ----------
    polygons : object array (N,)
        shapely Polygons in lattice pixels, traced half-way between labels.
    frame : Frame
        The lattice.

    Returns
    -------
    object array (N,)
        In level-0 pixels, fit for QuPath; None where nothing is left.
    """
    return fit_for_qupath(_on_grid(shapely.simplify(polygons, 0.0), frame))


def fitted_to_area(
    polygons: NDArray[np.object_], target: NDArray[np.float64], frame: Frame
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Scale polygons to their target areas and snap them to QuPath's grid.

    Parameters
    ----------
    polygons : object array (N,)
        shapely Polygons in lattice pixels.
    target : float array (N,)
        Areas, in square lattice pixels.
    frame : Frame
        The lattice.

    Returns
    -------
    polygons : object array (N,)
        Polygons or MultiPolygons in level-0 pixels, fit for QuPath; None where nothing is left.
    error : float array (N,)
        How far their areas are from the targets, as a share of them.
    """
    best, miss = polygons.copy(), np.full(len(polygons), np.inf)
    aim, target_level0 = target.copy(), np.maximum(target * (frame.scale_x * frame.scale_y), _TINY)
    area, centre = shapely.area(polygons), shapely.get_coordinates(shapely.centroid(polygons))
    area[area <= 0] = 1.0
    # Vertices of the polygons that are left; a polygon is made of them only once they are scaled and snapped.
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    left = np.arange(len(polygons))
    for round_ in range(1, _ROUNDS + 1):
        scaled = scaled_to_level0(points, centre[owner], np.sqrt(aim / area)[owner], frame)
        shapes = shapely.set_coordinates(polygons[left], scaled)
        ratio = shapely.area(shapes) / target_level0[left]
        error = np.abs(ratio - 1)
        better = error < miss[left]
        best[left[better]], miss[left[better]] = shapes[better], error[better]
        retry = (error > _AREA_ERROR) & (error < _HOPELESS)
        left = left[retry]
        # The steps become smaller, because full steps may oscillate.
        aim[left] /= ratio[retry] ** (1 / round_)
        if not len(left):
            break
        again = np.zeros(len(polygons), bool)
        again[left] = True
        points, owner = points[again[owner]], owner[again[owner]]
    fitted = fit_for_qupath(best)
    return fitted, np.abs(np.nan_to_num(shapely.area(fitted) / target_level0) - 1)


def scaled_to_level0(
    points: NDArray[np.float64], centre: NDArray[np.float64], factor: NDArray[np.float64], frame: Frame
) -> NDArray[np.float64]:
    """Scale points (N, 2) of a lattice about a centre each, and move them to the grid of level-0 pixels."""
    return snapped(frame.to_level0((points - centre) * factor[:, None] + centre))


def rings_fitted_to_area(rings: Rings, target: float, frame: Frame) -> Rings:
    """Scale one polygon of many rings to its target area, and move its points to QuPath's grid.

    Parameters
    ----------
    rings : Rings
        The outer ring, then the holes, in lattice pixels.
    target : float
        Area, in square lattice pixels.
    frame : Frame
        The lattice.

    Returns
    -------
    Rings
        In level-0 pixels; they may touch and cross.
    """
    area, centre = rings.polygon_area(), rings.polygon_centroid()
    aim, target_level0 = target, max(target * (frame.scale_x * frame.scale_y), _TINY)
    best, miss = rings, np.inf
    for round_ in range(1, _ROUNDS + 1):
        factor = np.sqrt(np.array([aim / area]))
        points = np.empty_like(rings.points)
        # A part after another, so that what lies between stays small.
        for start in range(0, len(points), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            points[part] = scaled_to_level0(rings.points[part], centre, factor, frame)
        fitted = Rings(points, rings.offsets)
        ratio = fitted.polygon_area() / target_level0
        error = abs(ratio - 1)
        if error < miss:
            best, miss = fitted, error
        if not _AREA_ERROR < error < _HOPELESS:
            break
        aim /= ratio ** (1 / round_)
    return best


def _same_parts(shapes: NDArray[np.object_], polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes are still one polygon with the same number of holes."""
    whole = shapely.get_type_id(shapes) == _POLYGON
    return np.asarray(whole & (shapely.get_num_interior_rings(shapes) == shapely.get_num_interior_rings(polygons)))


def outlined_area(polygons: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the area (N,) that traced polygons represent, including the corners that tracing cut, in their pixels."""
    cut = _CUT_PX2 * (1 - shapely.get_num_interior_rings(polygons))
    return np.asarray(np.maximum(shapely.area(polygons) + cut, 0))


def _simplified(polygons: NDArray[np.object_], tolerance_px: float) -> NDArray[np.object_]:
    if not tolerance_px:
        return polygons
    simplified = shapely.simplify(polygons, tolerance_px, preserve_topology=False)
    # Polygons smaller than the tolerance collapse, or become triangles, so they are kept as they are.
    lost = (shapely.get_num_coordinates(simplified) < MIN_POINTS) | (shapely.get_type_id(simplified) != _POLYGON)
    simplified[lost] = polygons[lost]
    return simplified


def _keeps_shape(
    polygons: NDArray[np.object_], simplified: NDArray[np.object_], target: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which simplified polygons lost little enough of their area."""
    area = shapely.area(simplified)
    bounds = shapely.bounds(polygons)
    half = np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) / 2
    growth = np.abs(np.sqrt(target / np.where(area > 0, area, np.inf)) - 1)
    close = np.abs(area - shapely.area(polygons)) <= _CUT_OFF * shapely.area(polygons)
    return np.asarray(close & (growth * half <= _MOVED_PX))


def _on_grid(polygons: NDArray[np.object_], frame: Frame) -> NDArray[np.object_]:
    points = snapped(frame.to_level0(shapely.get_coordinates(polygons)))
    return shapely.set_coordinates(polygons.copy(), points)


def snapped(points_level0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round points (N, 2) to QuPath's grid without bias: a remainder r is rounded up in a share r of all cases.

    Plain rounding would undo the scaling where a mask has hard edges, because all its points lie on the grid.
    """
    steps = points_level0 / GRID_PX
    whole = np.floor(steps + _TINY)
    threshold = whole @ _SPREAD % 1.0
    return (whole + (steps - whole > threshold)) * GRID_PX


# Irrational factors spread the thresholds of neighbouring points evenly over [0, 1); equal points have equal ones.
_SPREAD = np.array([[0.7548776662466927, 0.5698402909980532], [0.5698402909980532, 0.7548776662466927]])
_TINY = 1e-9
