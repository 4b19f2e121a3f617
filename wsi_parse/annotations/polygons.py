"""Coordinates of parsed GeoJSON are built into shapely geometries, many at a time."""

from itertools import chain
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

#: Largest coordinate: no slide is larger, and beyond it sums of squares lose their precision.
MAX_COORDINATE_PX = 1e9

# OverflowError: an integer may be too long for a float.
_MALFORMED = (TypeError, ValueError, OverflowError, shapely.GEOSException)

Rings = list[list[list[float]]]


def areas_of(geometry: Any) -> list[Rings]:  # noqa: ANN401 - parsed JSON
    """Return the polygons of a GeoJSON geometry, each as a list of rings; an empty list if it has no area.

    >>> areas_of({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]})
    [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]
    >>> areas_of({"type": "Point", "coordinates": [0, 0]})
    []
    """
    found: list[Rings] = []
    waiting = [geometry]
    while waiting:
        match waiting.pop():
            case {"type": "Polygon", "coordinates": [_, *_] as rings}:
                found.append(rings)
            case {"type": "MultiPolygon", "coordinates": [*parts]}:
                found += [rings for rings in parts if rings]
            case {"type": "GeometryCollection", "geometries": [*parts]}:
                waiting += reversed(parts)
    return found


def build(areas: list[list[Rings]]) -> NDArray[np.object_]:
    """Build many geometries at once.

    Parameters
    ----------
    areas : list
        For each geometry, the result of :func:`areas_of`.

    Returns
    -------
    object array (N,)
        shapely Polygons, and MultiPolygons of two parts or more; rings are closed, and nothing else is repaired. None
        for a geometry that has no polygon or whose coordinates are malformed.
    """
    try:
        return _built(areas)
    except _MALFORMED:
        return np.array([None, *map(_build_one, areas)], object)[1:]


def _build_one(area: list[Rings]) -> Any:  # noqa: ANN401 - a shapely geometry
    """Build one geometry; None if its coordinates are malformed."""
    try:
        return _built([area])[0]
    except _MALFORMED:
        return None


def _built(areas: list[list[Rings]]) -> NDArray[np.object_]:
    polygons = [rings for area in areas for rings in area]
    rings = [ring for polygon in polygons for ring in polygon]
    built: NDArray[np.object_] = np.full(len(areas), None, object)
    if not rings:
        return built
    lengths = np.fromiter(map(len, rings), np.int64, len(rings))
    total = int(lengths.sum())
    sizes = set(map(len, chain.from_iterable(rings)))
    if sizes == {2}:
        flat = np.fromiter(chain.from_iterable(chain.from_iterable(rings)), np.float64, 2 * total)
    elif sizes and min(sizes) > 1:
        # A third coordinate is a height, which slides do not have.
        flat = np.fromiter(
            (value for point in chain.from_iterable(rings) for value in point[:2]), np.float64, 2 * total
        )
    else:
        raise ValueError("a point must have two coordinates")
    if not (np.abs(flat) < MAX_COORDINATE_PX).all():
        raise ValueError("coordinates must be finite numbers")
    lines = shapely.linearrings(flat.reshape(-1, 2), indices=np.repeat(np.arange(len(rings)), lengths))
    of_polygon = np.repeat(np.arange(len(polygons)), np.fromiter(map(len, polygons), np.int64, len(polygons)))
    shells = shapely.polygons(lines, indices=of_polygon)
    parts = np.fromiter(map(len, areas), np.int64, len(areas))
    first = np.cumsum(parts) - parts
    built[parts == 1] = shells[first[parts == 1]]
    for index in np.flatnonzero(parts > 1).tolist():
        built[index] = shapely.multipolygons(shells[first[index] : first[index] + parts[index]])
    return built
