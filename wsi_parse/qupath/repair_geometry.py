"""Repair of geometry: on the 0.25 px grid, or on a finer one if the coarse one would change an area too much."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import Rings, areas_of, build
from wsi_parse.qupath.breaches import NO_AREAS, is_plane, rounding_breaches, shape_breaches
from wsi_parse.qupath.geometry import fit_for_qupath, polygonal_parts
from wsi_parse.qupath.rules import AREAS, ROUNDING_STEPS_PER_PIXEL

#: An area may change by this share of it, or by this many square pixels if that is more.
MAX_CHANGE_SHARE, MAX_CHANGE_PX2 = 1e-3, 1.0


def fitted_geometry(geometries: Sequence[Any]) -> list[Any]:
    """Return GeoJSON geometries that QuPath imports.

    Parameters
    ----------
    geometries : sequence
        Parsed GeoJSON.

    Returns
    -------
    list
        The same geometry if it breaks no rule or has no area, such as a point; None where no area is left.
    """
    areas = [_without_degenerate_rings(areas_of(geometry)) for geometry in geometries]
    which = [index for index, area in enumerate(areas) if area]
    shapes = fitted(build([areas[index] for index in which]))
    found: list[Any] = [None if is_area(geometry) else geometry for geometry in geometries]
    for index, shape in zip(which, shapes, strict=True):
        found[index] = None if shape is None else _to_geojson(shape, geometries[index])
    return found


def with_repaired_members(geometry: Any) -> Any:  # noqa: ANN401 - parsed JSON
    """Return a geometry without a plane or an ellipse that QuPath refuses, and with lines that have two points or more.

    What can be read of a plane stays.

    >>> with_repaired_members({"type": "LineString", "coordinates": [[1, 1]], "plane": {"Z": 2, "level": 1}})
    {'type': 'Point', 'coordinates': [1, 1], 'plane': {'z': 2}}
    """
    if not isinstance(geometry, dict):
        return geometry
    found = {key: value for key, value in geometry.items() if key not in ("plane", "isEllipse")}
    if "plane" in geometry and (plane := _repaired_plane(geometry["plane"])):
        found["plane"] = plane
    if not isinstance(geometry.get("isEllipse"), dict | list | None):
        found["isEllipse"] = geometry["isEllipse"]
    kind = geometry.get("type")
    if isinstance(kind, str) and kind in NO_AREAS:
        found["coordinates"] = _as_numbers(geometry.get("coordinates"), NO_AREAS[kind])
        if isinstance(found["coordinates"], list):
            _repair_lines(found)
    return found


def _repaired_plane(plane: Any) -> Any:  # noqa: ANN401 - parsed JSON
    if not isinstance(plane, dict):
        return None
    return {
        name: plane[key]
        for name in ("c", "z", "t")
        for key in (name, name.upper())
        if key in plane and is_plane({name: plane[key]}) and not (key != name and name in plane)
    }


def _repair_lines(geometry: dict[str, Any]) -> None:
    """Make a point of a line that has only one; of several lines, leave out those."""
    lines = geometry["coordinates"]
    if geometry["type"] == "LineString" and len(lines) == 1:
        geometry |= {"type": "Point", "coordinates": lines[0]}
    elif geometry["type"] == "MultiLineString" and lines and all(isinstance(line, list) for line in lines):
        long = [line for line in lines if len(line) != 1]
        geometry |= (
            {"coordinates": long} if long else {"type": "MultiPoint", "coordinates": [line[0] for line in lines]}
        )


def _as_numbers(found: Any, nesting: int) -> Any:  # noqa: ANN401 - parsed JSON
    """Read text in points as numbers; what is none stays as it is."""
    if not isinstance(found, list):
        return found
    if nesting:
        return [_as_numbers(inner, nesting - 1) for inner in found]
    try:
        return [float(value) if isinstance(value, str) else value for value in found]
    except ValueError:
        return found


def fitted(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Fit shapes for QuPath: on the 0.25 px grid, else on 0.01 px; shapes that break no rule stay as they are.

    Parameters
    ----------
    shapes : object array (N,)
        Polygons and MultiPolygons in pixels of the file; None where there is none.

    Returns
    -------
    object array (N,)
        None where no area is left. The area differs from that of the valid shape by less than 0.1 % or 1 px2, if
        that is possible on hundredths of a pixel.
    """
    result = shapes.copy()
    wrong = np.flatnonzero(breaks(shapes) & (shapes != None))  # noqa: E711 - of each item
    if not len(wrong):
        return result
    known = shapely.area(shapely.make_valid(shapes[wrong]))
    coarse = fit_for_qupath(shapes[wrong])
    off = np.abs(_areas(coarse) - known)
    result[wrong] = coarse
    finer = np.flatnonzero(off >= np.maximum(MAX_CHANGE_SHARE * known, MAX_CHANGE_PX2))
    if len(finer):
        fine = _snapped_to_hundredths(shapes[wrong[finer]])
        better = ~breaks(fine) & (np.abs(_areas(fine) - known[finer]) < off[finer])
        result[wrong[finer[better]]] = fine[better]
    return result


def breaks(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes break a rule."""
    bad = np.zeros(len(shapes), bool)
    for _, found in (*shape_breaches(shapes), *rounding_breaches(shapes)):
        bad |= found
    return bad


def _snapped_to_hundredths(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Snap to hundredths of a pixel; None where no area is left."""
    fine = np.full(len(shapes), None, object)
    for index, shape in enumerate(shapes):
        with suppress(shapely.GEOSException):
            valid = polygonal_parts(shapely.make_valid(shape))
            fine[index] = polygonal_parts(shapely.set_precision(valid, 1 / ROUNDING_STEPS_PER_PIXEL))
    return fine


def _areas(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    return np.nan_to_num(shapely.area(shapes))


def _without_degenerate_rings(area: list[Rings]) -> list[Rings]:
    """Leave out rings with fewer than three corners; an area with true or false as coordinates becomes empty."""
    try:
        if any(type(value) is bool for rings in area for ring in rings for point in ring for value in point):
            return []
        return [[ring for ring in rings if _corners(ring) > 2] for rings in area if _corners(rings[0]) > 2]
    except (TypeError, KeyError, IndexError):
        return []


def _corners(ring: list[Any]) -> int:
    return len(ring) - (len(ring) > 1 and ring[0] == ring[-1])


def is_area(geometry: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a geometry has a type that can contain polygons."""
    return isinstance(geometry, dict) and geometry.get("type") in (*AREAS, "GeometryCollection")


def _to_geojson(shape: Any, old: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a shapely geometry
    """Return a shape as GeoJSON; extra members of the old geometry stay."""
    parts = [[_ring(part.exterior), *map(_ring, part.interiors)] for part in shapely.get_parts(shape)]
    kind = "Polygon" if len(parts) == 1 else "MultiPolygon"
    more = {key: value for key, value in old.items() if key not in ("type", "coordinates", "geometries")}
    return {"type": kind, "coordinates": parts[0] if len(parts) == 1 else parts, **more}


def _ring(ring: Any) -> list[list[float]]:  # noqa: ANN401 - a shapely geometry
    points: list[list[float]] = shapely.get_coordinates(ring).tolist()
    return [[int(value) if value.is_integer() else value for value in point] for point in points]
