"""Outlines on an object lattice become polygons in level-0 pixels: few vertices, the right area, fit for QuPath.

Straight lines cut off what bulges: 0.25 um would cost a nucleus of 6 um 6 % of its area. So each object is thinned
with the largest tolerance that keeps its shape, and what was cut off is given back by scaling about the centroid.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Frame
from wsi_parse.qupath.geometry import GRID_PX, fit_for_qupath

# Marching squares cuts every corner of a pixel outline by 1/8 px2: convex corners less concave ones make 1/2 px2 a
# ring, whatever its shape. Without giving it back, every object would come out a little small.
_CUT_PX2 = 0.5
# In lattice pixels, tried one after the other.
_TOLERANCES_PX = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
# What the final area may miss, on the grid; how much thinning may take before it is given back; and how much it may
# move at most: tolerance x perimeter / area.
_AREA_ERROR, _CUT_OFF, _SHAPE = 0.005, 0.02, 0.15
# Farther than this no point may be moved when area is given back: a large outline is not blown up for its corners.
_MOVED_PX = 0.5
# Scaled again where snapping changed the area.
_ROUNDS, _HOPELESS = 6, 0.5
_MIN_POINTS = 5
_POLYGON = int(shapely.GeometryType.POLYGON)


def to_level0(polygons: NDArray[np.object_], frame: Frame, tolerance_px: float | None = None) -> NDArray[np.object_]:
    """Thin polygons of an object lattice and bring them to level-0 pixels, fit for QuPath.

    Parameters
    ----------
    polygons : object array (N,)
        shapely Polygons in lattice pixels, as traced.
    frame : Frame
        The lattice.
    tolerance_px : float, optional
        In lattice pixels, for all; None takes for each object the largest of 1 to 0 that keeps its area within
        0.5 %, of which it takes no more than 2 % before that is given back.

    Returns
    -------
    object array (N,)
        None where nothing is left.
    """
    target = outlined_area(polygons)
    allowed = _SHAPE * target / np.maximum(shapely.length(polygons), 1.0)
    best, miss = np.full(len(polygons), None, object), np.full(len(polygons), np.inf)
    left = np.arange(len(polygons))
    for tolerance in _TOLERANCES_PX if tolerance_px is None else ():
        tried = left[tolerance <= allowed[left]]
        thin = _simplified(polygons[tried], tolerance)
        kept = _keeps_shape(polygons[tried], thin, target[tried])
        thin, tried = thin[kept], tried[kept]
        shapes, error = _placed(thin, target[tried], frame)
        better = (error < miss[tried]) & _alike(shapes, polygons[tried])
        best[tried[better]], miss[tried[better]] = shapes[better], error[better]
        left = left[miss[left] > _AREA_ERROR]
    shapes, error = _placed(_simplified(polygons[left], tolerance_px or 0.0), target[left], frame)
    better = (error < miss[left]) | ~np.isfinite(miss[left])
    best[left[better]] = shapes[better]
    return best


def shared_to_level0(polygons: NDArray[np.object_], frame: Frame) -> NDArray[np.object_]:
    """Bring polygons that share borders to level-0 pixels, point by point, so that they still share them.

    Only vertices on straight lines are left out, and the corners that tracing cut are not given back: of a cell of
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
        Fit for QuPath; None where nothing is left.
    """
    return fit_for_qupath(_on_grid(shapely.simplify(polygons, 0.0), frame))


def _placed(
    polygons: NDArray[np.object_], target: NDArray[np.float64], frame: Frame
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Scale polygons to their areas and put them on QuPath's grid; returns them and the share of area missed."""
    best, miss = polygons.copy(), np.full(len(polygons), np.inf)
    aim, wanted = target.copy(), np.maximum(target * (frame.scale_x * frame.scale_y), _TINY)
    left = np.arange(len(polygons))
    for round_ in range(1, _ROUNDS + 1):
        shapes = _on_grid(_scaled(polygons[left], aim[left]), frame)
        ratio = shapely.area(shapes) / wanted[left]
        error = np.abs(ratio - 1)
        better = error < miss[left]
        best[left[better]], miss[left[better]] = shapes[better], error[better]
        again = (error > _AREA_ERROR) & (error < _HOPELESS)
        left = left[again]
        # Smaller and smaller steps: a whole one may go to and fro.
        aim[left] /= ratio[again] ** (1 / round_)
        if not len(left):
            break
    fitted = fit_for_qupath(best)
    return fitted, np.abs(np.nan_to_num(shapely.area(fitted) / wanted) - 1)


def _alike(shapes: NDArray[np.object_], polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes are still in one piece, with all holes."""
    whole = shapely.get_type_id(shapes) == _POLYGON
    return np.asarray(whole & (shapely.get_num_interior_rings(shapes) == shapely.get_num_interior_rings(polygons)))


def outlined_area(polygons: NDArray[np.object_]) -> NDArray[np.float64]:
    """Area that traced polygons stand for, in their own pixels: with the corners that tracing cut."""
    cut = _CUT_PX2 * (1 - shapely.get_num_interior_rings(polygons))
    return np.asarray(np.maximum(shapely.area(polygons) + cut, 0))


def _simplified(polygons: NDArray[np.object_], tolerance_px: float) -> NDArray[np.object_]:
    if not tolerance_px:
        return polygons
    thin = shapely.simplify(polygons, tolerance_px, preserve_topology=False)
    # What is smaller than the tolerance would collapse.
    lost = (shapely.get_num_coordinates(thin) < _MIN_POINTS) | (shapely.get_type_id(thin) != _POLYGON)
    thin[lost] = polygons[lost]
    return thin


def _keeps_shape(
    polygons: NDArray[np.object_], thin: NDArray[np.object_], target: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which thinned polygons lost little enough of their area."""
    area = shapely.area(thin)
    bounds = shapely.bounds(polygons)
    half = np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) / 2
    growth = np.abs(np.sqrt(target / np.where(area > 0, area, np.inf)) - 1)
    close = np.abs(area - shapely.area(polygons)) <= _CUT_OFF * shapely.area(polygons)
    return np.asarray(close & (growth * half <= _MOVED_PX))


def _scaled(polygons: NDArray[np.object_], target: NDArray[np.float64]) -> NDArray[np.object_]:
    """Scale polygons about their centroids to the areas they should have."""
    area = shapely.area(polygons)
    factor = np.sqrt(target / np.where(area > 0, area, 1.0))
    centre = shapely.get_coordinates(shapely.centroid(polygons))
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    moved = (points - centre[owner]) * factor[owner, None] + centre[owner]
    return shapely.set_coordinates(polygons.copy(), moved)


def _on_grid(polygons: NDArray[np.object_], frame: Frame) -> NDArray[np.object_]:
    points = snapped(frame.to_level0(shapely.get_coordinates(polygons)))
    return shapely.set_coordinates(polygons.copy(), points)


def snapped(points_level0: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round points to QuPath's grid without bias: up as often as their remainder says, by turns.

    Plain rounding would undo what scaling gives back, where a mask has hard edges and so all points lie on the grid.
    """
    cells = points_level0 / GRID_PX
    whole = np.floor(cells + _TINY)
    turn = whole @ _SPREAD % 1.0
    return (whole + (cells - whole > turn)) * GRID_PX


# Irrational steps spread the turns of neighbouring points evenly over [0, 1); equal points take equal turns.
_SPREAD = np.array([[0.7548776662466927, 0.5698402909980532], [0.5698402909980532, 0.7548776662466927]])
_TINY = 1e-9
