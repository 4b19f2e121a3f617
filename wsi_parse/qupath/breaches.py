"""Breaches of QuPath's rules by a feature or a shape."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations.read import LEGACY_TYPES
from wsi_parse.qupath.property_breaches import Breach, is_number, property_breaches
from wsi_parse.qupath.rules import (
    AREAS,
    COORDINATE_TEXT,
    COORDINATES,
    ELLIPSE,
    FAR,
    HEIGHT,
    ID_NOT_UUID,
    ID_PLACE,
    INVALID,
    MAX_QUARTER_PX,
    NO_AREA,
    NO_GEOMETRY,
    NO_ID,
    NO_PROPERTIES,
    NO_TYPE,
    NOT_A_FEATURE,
    NOT_AN_AREA,
    NOT_TEXT,
    NUCLEUS_FORM,
    NULL_KEY,
    ONE_PART,
    OPEN_RING,
    PINCHED,
    PLANE,
    ROUNDED,
    ROUNDING_STEPS_PER_PIXEL,
    SHORT_LINE,
    SNAPPING,
    UUID,
    QuPathRule,
)
from wsi_parse.qupath.snapping import GRID_PX

#: Geometries without an area, and how deep their lists of points are nested.
NO_AREAS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2}
_POLYGON, _MULTIPOLYGON = int(shapely.GeometryType.POLYGON), int(shapely.GeometryType.MULTIPOLYGON)
_NUMERIC = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_MAX_INT32 = 2**31 - 1


def feature_breaches(feature: Mapping[str, Any], *, in_collection: bool = True) -> Iterator[Breach]:
    """Yield the rules that a parsed feature breaks, except for those about the shape of its areas.

    Parameters
    ----------
    feature : mapping
        As parsed from the file.
    in_collection : bool
        Whether it is in a FeatureCollection, where QuPath does not look at its type.
    """
    if feature.get("type") != "Feature":
        if in_collection and "type" not in feature and "geometry" in feature:
            yield NO_TYPE, ""
        else:
            yield NOT_A_FEATURE, str(feature.get("type", ""))
        if "geometry" not in feature:
            return
    properties = feature.get("properties", {})
    if not isinstance(properties, dict):
        yield (NULL_KEY, "properties") if properties is None else (NO_PROPERTIES, "")
        properties = {}
    yield from _identity(feature, properties)
    yield from geometry_breaches(feature.get("geometry"))
    if "nucleusGeometry" in feature:
        if feature["nucleusGeometry"] is None:
            yield NULL_KEY, "nucleusGeometry"
        else:
            yield from ((rule, f"nucleus {detail}".strip()) for rule, detail in _nucleus(feature["nucleusGeometry"]))
    yield from property_breaches(properties, feature.get("id"))


def _identity(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[Breach]:
    found = feature.get("id", "")
    if found is None:
        yield NULL_KEY, "id"
    elif not isinstance(found, str | int | float):
        yield NOT_TEXT, "id"
    elif found == "" or found in LEGACY_TYPES:
        yield (ID_PLACE if properties.get("id") else NO_ID), ""
    elif not (isinstance(found, str) and UUID.fullmatch(found)):
        yield ID_NOT_UUID, str(found)


def _nucleus(geometry: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if isinstance(kind, str) and kind in (*AREAS, *NO_AREAS):
        yield from geometry_breaches(geometry)
        if kind in NO_AREAS:
            yield NUCLEUS_FORM, kind
    else:
        yield NOT_AN_AREA, str(kind) if isinstance(geometry, dict) else ""


def geometry_breaches(geometry: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    """Yield the rules that a parsed geometry breaks by its form; for its areas, see :func:`shape_breaches`."""
    if geometry is None:
        yield NO_GEOMETRY, ""
        return
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind in AREAS:
        yield from _area(kind, geometry.get("coordinates"))
    elif not isinstance(kind, str) or kind not in NO_AREAS:
        yield NOT_AN_AREA, str(kind)
    else:
        yield from _line(kind, geometry.get("coordinates"))
    if isinstance(geometry, dict):
        if "plane" in geometry and not is_plane(geometry["plane"]):
            yield PLANE, str(geometry["plane"])
        if isinstance(geometry.get("isEllipse", False), dict | list | None):
            yield ELLIPSE, str(geometry["isEllipse"])


def is_plane(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether QuPath reads a value as a plane; the channel -1 stands for all channels.

    >>> is_plane({"c": -1, "z": 0, "t": 0}), is_plane({"z": 2}), is_plane({"Z": 2}), is_plane({"z": -1})
    (True, True, False, False)
    """
    return isinstance(value, dict) and all(
        key in ("c", "z", "t") and type(number) in (int, float) and -(key == "c") <= number <= _MAX_INT32
        for key, number in value.items()
    )


def _area(kind: str, parts: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    if not isinstance(parts, list):
        yield COORDINATES, ""
        return
    if kind == "MultiPolygon" and len(parts) == 1:
        yield ONE_PART, ""
    parts = parts if kind == "MultiPolygon" else [parts]
    if not parts or not all(parts):
        yield NO_AREA, "empty"
        return
    if not all(isinstance(part, list) and all(isinstance(ring, list) for ring in part) for part in parts):
        yield COORDINATES, ""
        return
    rings = list(chain.from_iterable(parts))
    if any(len(ring) < 4 or not _meet(ring[0], ring[-1]) for ring in rings):
        # NaN does not equal itself.
        name = not_finite(rings)
        yield (COORDINATES, name) if name else (OPEN_RING, "")
        return
    yield from _numbers(rings)
    if any(ring[0] != ring[-1] for ring in rings):
        yield HEIGHT, ""


def _meet(one: Any, other: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether two points are at the same place; QuPath compares no heights."""
    return bool(one == other or (isinstance(one, list) and isinstance(other, list) and one[:2] == other[:2]))


def _numbers(rings: list[Any]) -> Iterator[Breach]:
    try:
        kinds = set(map(type, chain.from_iterable(chain.from_iterable(rings))))
        text = kinds - {int, float}
        if text == {str} and all(map(_is_numeric, chain.from_iterable(chain.from_iterable(rings)))):
            yield COORDINATE_TEXT, ""
        elif text:
            yield COORDINATES, ""
    except TypeError:
        yield COORDINATES, ""


def not_finite(values: Any) -> str:  # noqa: ANN401 - parsed JSON
    """Name the number in nested lists that is not finite; "" if all are.

    >>> not_finite([[[0, 1], [float("nan"), 0]]]), not_finite([1, float("-inf")]), not_finite([1, "x"])
    ('NaN', 'Infinity', '')
    """
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity"
    return ""


def _is_numeric(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether QuPath reads a value as a number, which text may be."""
    return _NUMERIC.fullmatch(value) is not None if isinstance(value, str) else is_number(value)


def _line(kind: str, found: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    if not _are_points(found, NO_AREAS[kind]):
        yield COORDINATES, ""
        return
    lines = [found] if kind == "LineString" else found if kind == "MultiLineString" else []
    if any(len(line) < 2 for line in lines):
        yield SHORT_LINE, ""
    for _ in range(NO_AREAS[kind]):
        found = list(chain.from_iterable(found))
    if not all(map(is_number, found)):
        yield COORDINATE_TEXT, ""


def _are_points(found: Any, nesting: int) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a value is a point, or points in `nesting` levels of lists."""
    if not isinstance(found, list) or not found:
        return False
    if nesting:
        return all(_are_points(inner, nesting - 1) for inner in found)
    return len(found) > 1 and all(map(_is_numeric, found))


def shape_breaches(shapes: NDArray[np.object_]) -> Iterator[tuple[QuPathRule, NDArray[np.bool_]]]:
    """Yield each rule about shapes, with a bool array (N,) of the shapes that break it.

    Parameters
    ----------
    shapes : object array (N,)
        shapely geometries, in the frame of the file.
    """
    kind = shapely.get_type_id(shapes)
    yield NOT_AN_AREA, (kind != _POLYGON) & (kind != _MULTIPOLYGON)
    yield ONE_PART, (kind == _MULTIPOLYGON) & (shapely.get_num_geometries(shapes) < 2)
    flat = shapely.area(shapes) <= 0
    # The areas of the two lobes of a figure of eight may cancel each other.
    flat[flat] = shapely.area(shapely.make_valid(shapes[flat])) <= 0
    yield NO_AREA, flat
    invalid = ~shapely.is_valid(shapes) & ~flat & ~shapely.is_missing(shapes)
    pinched = np.zeros(len(shapes), bool)
    pinched[invalid] = _are_pinched(shapes[invalid])
    yield INVALID, invalid & ~pinched
    yield PINCHED, pinched


def _are_pinched(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which invalid shapes are polygons without holes whose ring touches itself, but does not cross itself.

    What a ring encloses when it crosses itself differs from the area by its corners: lobes count as negative or twice.
    """
    plain = (shapely.get_type_id(shapes) == _POLYGON) & (shapely.get_num_interior_rings(shapes) == 0)
    enclosed = shapely.area(shapely.make_valid(shapes))
    return np.asarray(plain & (np.abs(shapely.area(shapes) - enclosed) <= 1e-9 * enclosed))


def rounding_breaches(shapes: NDArray[np.object_]) -> Iterator[tuple[QuPathRule, NDArray[np.bool_]]]:
    """Yield each rule about rounding, with the valid shapes that break it; on QuPath's grid no shape can."""
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    distant = np.abs(points) >= MAX_QUARTER_PX
    far = _any_of(distant & (points.astype(np.float32) != points), owner, len(shapes))
    which = np.flatnonzero(_any_of(points != np.rint(points / GRID_PX) * GRID_PX, owner, len(shapes)) | far)
    which = which[shapely.is_valid(shapes[which])]
    broken, finer = np.zeros(len(shapes), bool), np.zeros(len(shapes), bool)
    if len(which):
        suspects = shapes[which]
        points, owner = shapely.get_coordinates(suspects, return_index=True)
        # Java rounds halves upwards.
        hundredths = np.floor(points * ROUNDING_STEPS_PER_PIXEL + 0.5) / ROUNDING_STEPS_PER_PIXEL
        finer[which] = _any_of(np.abs(hundredths - points) > 1e-9 * (1 + np.abs(points)), owner, len(suspects))
        for moved in (hundredths, hundredths.astype(np.float32).astype(float)):
            rounded = shapely.set_coordinates(suspects.copy(), moved)
            broken[which] |= ~shapely.is_valid(rounded) | (shapely.area(rounded) <= 0)
    yield FAR, far & ~broken & shapely.is_valid(shapes)
    yield SNAPPING, broken
    yield ROUNDED, finer & ~broken


def _any_of(bad: NDArray[np.bool_], owner: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.bincount(owner[bad.any(axis=1)], minlength=count) > 0
