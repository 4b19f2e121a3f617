"""Breaches of QuPath's rules by a feature or a shape."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations.read import LEGACY_TYPES
from wsi_parse.qupath.geometry import GRID_PX
from wsi_parse.qupath.rules import (
    AREAS,
    CLASS_COLOUR,
    CLASS_FORM,
    COLOUR,
    COORDINATES,
    FAR,
    ID_NOT_UUID,
    ID_PLACE,
    INFINITE,
    INVALID,
    MAX_QUARTER_PX,
    MEASUREMENT,
    NO_AREA,
    NO_GEOMETRY,
    NO_ID,
    NO_MEASUREMENTS,
    NO_PROPERTIES,
    NOT_A_FEATURE,
    NOT_AN_AREA,
    NOT_TEXT,
    NUCLEUS_PLACE,
    NULL_KEY,
    OBJECT_TYPE,
    ONE_PART,
    OPEN_RING,
    ROUNDED,
    ROUNDING_STEPS_PER_PIXEL,
    SNAPPING,
    UUID,
    QuPathRule,
)

# Geometries without an area, and how deep their lists of points are nested.
_NO_AREAS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2}
_NUMBERS = {int, float}
_TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "tma_core", "root", "unknown", *LEGACY_TYPES}
_POLYGON, _MULTIPOLYGON = int(shapely.GeometryType.POLYGON), int(shapely.GeometryType.MULTIPOLYGON)
#: A rule that is broken, and a detail: the key, the value or the name of a measurement; may be empty.
Breach = tuple[QuPathRule, str]


def feature_breaches(feature: Mapping[str, Any]) -> Iterator[Breach]:
    """Yield the rules that a parsed feature breaks, except for those about the shape of its areas.

    Parameters
    ----------
    feature : mapping
        As parsed from the file.
    """
    if feature.get("type") != "Feature":
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
    if properties:
        yield from _properties(properties)


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
    if isinstance(geometry, dict) and geometry.get("type") in AREAS:
        yield from geometry_breaches(geometry)
    else:
        yield NOT_AN_AREA, str(geometry.get("type")) if isinstance(geometry, dict) else ""


def geometry_breaches(geometry: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    """Yield the rules that a parsed geometry breaks by its form; for its areas, see :func:`shape_breaches`."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if geometry is None:
        yield NO_GEOMETRY, ""
    elif kind in AREAS:
        yield from _area(kind, geometry.get("coordinates"))
    elif not isinstance(kind, str) or kind not in _NO_AREAS:
        yield NOT_AN_AREA, str(kind)
    elif not _are_points(geometry.get("coordinates"), _NO_AREAS[kind]):
        yield COORDINATES, ""


def _area(kind: str, parts: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    if not isinstance(parts, list):
        yield COORDINATES, ""
        return
    if kind == "MultiPolygon" and len(parts) == 1:
        yield ONE_PART, ""
    parts = parts if kind == "MultiPolygon" else [parts]
    if not parts or not all(parts):
        yield NO_AREA, "empty"
    elif not all(isinstance(part, list) and all(isinstance(ring, list) for ring in part) for part in parts):
        yield COORDINATES, ""
    elif any(len(ring) < 4 or ring[0] != ring[-1] for part in parts for ring in part):
        yield OPEN_RING, ""
    elif not all(map(_are_numbers, parts)):
        yield COORDINATES, ""


def _are_points(found: Any, nesting: int) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a value is a point, or points in `nesting` levels of lists."""
    if not isinstance(found, list) or not found:
        return False
    if nesting:
        return all(_are_points(inner, nesting - 1) for inner in found)
    return len(found) > 1 and all(map(is_number, found))


def _are_numbers(rings: list[Any]) -> bool:
    try:
        return set(map(type, chain.from_iterable(chain.from_iterable(rings)))) <= _NUMBERS
    except TypeError:
        return False


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
    valid = shapely.is_valid(shapes)
    yield INVALID, ~valid & ~flat & ~shapely.is_missing(shapes)


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


def _properties(properties: Mapping[str, Any]) -> Iterator[Breach]:
    for key in ("name", "objectType"):
        if key in properties and not isinstance(value := properties[key], str | int | float):
            yield (NULL_KEY if value is None else NOT_TEXT), key
    kind = properties.get("objectType", "annotation")
    if isinstance(kind, str) and kind not in _TYPES:
        yield OBJECT_TYPE, kind
    if "nucleusGeometry" in properties:
        yield NUCLEUS_PLACE, ""
    if (found := properties.get("classification")) is not None:
        yield from _classification(found)
    if (colour := properties.get("color")) is not None and not (type(colour) is int or is_colour(colour)):
        yield COLOUR, str(colour)
    measurements = properties.get("measurements")
    if not isinstance(measurements, dict | list | None):
        yield NO_MEASUREMENTS, str(measurements)
    elif measurements:
        yield from ((MEASUREMENT, str(name)) for name, value in measured(measurements) if not is_number(value))


def _classification(found: Any) -> Iterator[Breach]:  # noqa: ANN401 - parsed JSON
    if isinstance(found, str) or found == {}:
        return
    if not isinstance(found, dict):
        yield CLASS_FORM, str(found)
    else:
        names = found["names"] if "names" in found else [found.get("name")]
        if not (isinstance(names, list) and names and all(isinstance(text, str) and text for text in names)):
            yield CLASS_FORM, ""
        if "colorRGB" in found:
            if type(found["colorRGB"]) is not int:
                yield CLASS_COLOUR, str(found["colorRGB"])
        elif not is_colour(found.get("color")):
            yield CLASS_COLOUR, str(found.get("color", ""))


def is_colour(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether QuPath reads a value as the colour that is meant.

    >>> is_colour([200, 0, 0]), is_colour([1.0, 0.5, 0]), is_colour("#ff0000"), is_colour([300, 0, 0])
    (True, False, False, False)
    """
    return isinstance(value, list) and len(value) in (3, 4) and all(type(v) is int and 0 <= v <= 255 for v in value)


def is_number(value: Any) -> bool:  # noqa: ANN401 - parsed JSON
    """Return whether a value is a number, not true or false, and finite as float32, which QuPath stores.

    >>> is_number(3.4e38), is_number(1e39), is_number(10**400), is_number(float("nan")), is_number(True)
    (True, False, False, False, False)
    """
    # The value is compared, not converted, so integers of any length are exact.
    return type(value) in (int, float) and abs(value) < INFINITE


def measured(measurements: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - parsed JSON
    """Yield names and values of measurements: an object, or the list that v0.4 and earlier versions write."""
    if isinstance(measurements, dict):
        yield from measurements.items()
    elif isinstance(measurements, list):
        for item in measurements:
            # (None, None) breaks the rule, because it is neither a name nor a number.
            yield (item.get("name"), item.get("value")) if isinstance(item, dict) else (None, None)
