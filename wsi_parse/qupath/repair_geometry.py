"""Geometry put right: on QuPath's grid, and on a finer one where that would change an area too much."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import Rings, areas_of, build
from wsi_parse.qupath.breaches import of_rounding, of_shapes
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.rules import AREAS, STEPS_PER_PIXEL

#: An area may change by the larger of these.
SHARE, PX2 = 1e-3, 1.0


def fitted_geometry(geometries: Sequence[Any]) -> list[Any]:
    """Return GeoJSON geometries that QuPath takes.

    Parameters
    ----------
    geometries : sequence
        Parsed GeoJSON.

    Returns
    -------
    list
        The same where nothing is wrong, or it is no area; None where no area is left.
    """
    areas = [_whole(areas_of(geometry)) for geometry in geometries]
    which = [index for index, area in enumerate(areas) if area]
    shapes = fitted(build([areas[index] for index in which]))
    found: list[Any] = [None if is_area(geometry) else geometry for geometry in geometries]
    for index, shape in zip(which, shapes, strict=True):
        found[index] = None if shape is None else _written(shape, geometries[index])
    return found


def fitted(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Fit shapes to QuPath: on 0.25 px, else on 0.01 px; those that break no rule stay as they are.

    Parameters
    ----------
    shapes : object array (N,)
        Polygons and MultiPolygons; None where there is none.

    Returns
    -------
    object array (N,)
        None where no area is left. An area differs from that of the shape made valid by less than 0.1 % or 1 px2,
        where hundredths of a pixel can hold it.
    """
    result = shapes.copy()
    wrong = np.flatnonzero(breaks(shapes) & (shapes != None))  # noqa: E711 - of each item
    if not len(wrong):
        return result
    known = shapely.area(shapely.make_valid(shapes[wrong]))
    coarse = fit_for_qupath(shapes[wrong])
    off = np.abs(_areas(coarse) - known)
    result[wrong] = coarse
    finer = np.flatnonzero(off >= np.maximum(SHARE * known, PX2))
    if len(finer):
        fine = _finely(shapes[wrong[finer]])
        better = ~breaks(fine) & (np.abs(_areas(fine) - known[finer]) < off[finer])
        result[wrong[finer[better]]] = fine[better]
    return result


def breaks(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes break a rule."""
    bad = np.zeros(len(shapes), bool)
    for _, found in (*of_shapes(shapes), *of_rounding(shapes)):
        bad |= found
    return bad


def _finely(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Snap to hundredths of a pixel; None where no area is left."""
    fine = np.full(len(shapes), None, object)
    for index, shape in enumerate(shapes):
        with suppress(shapely.GEOSException):
            fine[index] = _solid(shapely.set_precision(_solid(shapely.make_valid(shape)), 1 / STEPS_PER_PIXEL))
    return fine


def _solid(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = parts[shapely.area(parts) > 0]
    if len(parts) < 2:
        return parts[0] if len(parts) else None
    return shapely.multipolygons(parts)


def _areas(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    return np.nan_to_num(shapely.area(shapes))


def _whole(area: list[Rings]) -> list[Rings]:
    """Leave out rings of fewer than three corners, and polygons of such; numbers in quotes stay, true and false not."""
    try:
        if any(type(value) is bool for rings in area for ring in rings for point in ring for value in point):
            return []
        return [[ring for ring in rings if _corners(ring) > 2] for rings in area if _corners(rings[0]) > 2]
    except (TypeError, KeyError, IndexError):
        return []


def _corners(ring: list[Any]) -> int:
    return len(ring) - (len(ring) > 1 and ring[0] == ring[-1])


def is_area(geometry: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a geometry is of a type that holds polygons."""
    return isinstance(geometry, dict) and geometry.get("type") in (*AREAS, "GeometryCollection")


def _written(shape: Any, old: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a shapely geometry
    """Write a shape as GeoJSON; what else the old geometry said stays."""
    parts = [[_ring(part.exterior), *map(_ring, part.interiors)] for part in shapely.get_parts(shape)]
    kind = "Polygon" if len(parts) == 1 else "MultiPolygon"
    more = {key: value for key, value in old.items() if key not in ("type", "coordinates", "geometries")}
    return {"type": kind, "coordinates": parts[0] if len(parts) == 1 else parts, **more}


def _ring(ring: Any) -> list[list[float]]:  # noqa: ANN401 - a shapely geometry
    points: list[list[float]] = shapely.get_coordinates(ring).tolist()
    return [[int(value) if value.is_integer() else value for value in point] for point in points]
