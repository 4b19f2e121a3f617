"""The region of interest: polygons of a GeoJSON file, in the frame QuPath exports."""

import json
from pathlib import Path
from typing import Any

import shapely

from wsi_parse.errors import UsageError


def read_roi(path: Path, offset_level0: tuple[int, int]) -> Any:  # noqa: ANN401 - a shapely geometry
    """Read the union of all polygons of a GeoJSON file.

    Parameters
    ----------
    path : Path
        A FeatureCollection, an array of features, one feature, or a bare geometry.
    offset_level0 : (int, int)
        Added to every point: the origin of the slide's bounds where the file counts from there, as QuPath's do.

    Returns
    -------
    shapely geometry
        In level-0 pixels.

    Raises
    ------
    UsageError
        Where the file cannot be read or holds no polygon.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        shapes = shapely.from_geojson([json.dumps(geometry) for geometry in _geometries(data)])
    except (OSError, ValueError, TypeError, AttributeError, shapely.GEOSException) as error:
        raise UsageError(f"The region file {path.name} cannot be read: {error}", "It must be GeoJSON.") from error
    area = shapely.union_all(shapely.make_valid(shapes))
    if area.is_empty or area.area == 0:
        raise UsageError(f"The region file {path.name} holds no polygon.", "Draw an area in QuPath and export it.")
    return shapely.transform(area, lambda points: points + offset_level0)


def _geometries(data: Any) -> list[Any]:  # noqa: ANN401 - parsed JSON
    if isinstance(data, list):
        return [geometry for item in data for geometry in _geometries(item)]
    if data.get("type") == "FeatureCollection":
        return _geometries(data["features"])
    return [data["geometry"] if data.get("type") == "Feature" else data]
