"""read_annotations: GeoJSON as QuPath v0.4 to v0.7 exports it, and as this package writes it."""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import Rings, areas_of, build
from wsi_parse.annotations.stream import Features, parsed
from wsi_parse.errors import UsageError

# QuPath before v0.4 wrote these types in the place of the id.
LEGACY_TYPES = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "PathRootObject": "root",
}
_OTHER_GEOMETRIES = ("Point", "MultiPoint", "LineString", "MultiLineString", "GeometryCollection")
DAMAGED = "damaged coordinates"
_AT_ONCE = 2_000


@dataclass(frozen=True)
class Annotations:
    """The areas of a GeoJSON file, in its order.

    Parameters
    ----------
    geometry : object array (N,)
        shapely Polygons, and MultiPolygons of two parts or more, in the frame of the file; not made valid.
    ids : object array (N,)
        Strings; None where the file has none.
    class_name : object array (N,)
        The names of a derived class are joined as in QuPath, "Tumor: Positive"; "" if the object has no class.
    object_type : object array (N,)
        "annotation", "detection", "cell" or "tile".
    nucleus : object array (N,) or None
        Polygons of the nuclei of cells, None for an object without a nucleus; None if no object has one.
    skipped : dict of str to int
        Number of skipped objects by type: points, lines, objects without geometry or with damaged coordinates.
    provenance : mapping
        The member ``wsi_parse`` of the file (frame, slide, model); empty if the file has none.
    crs : str
        The coordinate reference system that the file names, as programs for maps do; "" if it names none.
    """

    geometry: NDArray[np.object_]
    ids: NDArray[np.object_]
    class_name: NDArray[np.object_]
    object_type: NDArray[np.object_]
    nucleus: NDArray[np.object_] | None
    skipped: dict[str, int]
    provenance: Mapping[str, Any]
    crs: str = ""

    def __len__(self) -> int:
        return len(self.geometry)


def read_annotations(path: Path) -> Annotations:
    """Read GeoJSON: a collection, a list of features, one feature or one geometry; also packed as .gz or .zip.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Annotations

    Raises
    ------
    UsageError
        The file cannot be read, is empty, ends in the middle, or is not valid GeoJSON.
    """
    source, found = Features(path), _Reading()
    with reading(path):
        for number, text in enumerate(source, 1):
            for feature in flat_features(feature_of(text, number, path)):
                found.add(feature)
        provenance = source.members.get("wsi_parse")
        read = found.done(provenance if isinstance(provenance, dict) else {})
    return replace(read, crs=_crs_of(source.members.get("crs")))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Make an error of a value that is nested too deeply, and read fast.

    The garbage collector's search for cycles is off: it finds none here, and takes a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    except RecursionError as error:
        raise UsageError(f"{path.name} is nested too deeply.", "Export it again.") from error
    finally:
        if was_on:
            gc.enable()


def feature_of(text: bytes, number: int, path: Path) -> Any:  # noqa: ANN401 - parsed JSON
    """Parse the text of a feature; the error names the feature by its number."""
    try:
        return parsed(text)
    except ValueError as error:
        raise UsageError(
            f"Feature {number:,} of {path.name} is not valid JSON: {error}.", "Export the file again."
        ) from error


def flat_features(item: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - parsed JSON
    """Yield a feature and its children, a bare geometry as a feature, or the features of a collection."""
    waiting = [item]
    while waiting:
        item = waiting.pop()
        kind = item.get("type")
        if kind == "FeatureCollection" and isinstance(item.get("features"), list):
            inner = item["features"]
        elif kind == "Feature" or "geometry" in item:
            yield item
            inner = children_of(item)
        else:
            yield {"type": "Feature", "geometry": item}
            continue
        waiting += [child for child in reversed(inner) if isinstance(child, dict)]


def children_of(feature: Mapping[str, Any]) -> list[Any]:
    """Return the child features of a feature, as in QuPath's object hierarchy."""
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        return []
    found = properties.get("childObjects") or properties.get("children")
    return found if isinstance(found, list) else []


def id_of(feature: Mapping[str, Any]) -> str | None:
    """Return the id of a feature, or the one in its properties; the types that old versions wrote there are no ids."""
    found = feature.get("id")
    if found is None and isinstance(properties := feature.get("properties"), dict):
        found = properties.get("id")
    return None if found is None or found == "" or str(found) in LEGACY_TYPES else str(found)


def type_of(feature: Mapping[str, Any]) -> str:
    """Return the type of object that a feature is, by the rules of QuPath's import.

    >>> type_of({"properties": {"object_type": "detection"}}), type_of({"id": "PathCellObject"}), type_of({})
    ('detection', 'cell', 'annotation')
    """
    properties = feature.get("properties")
    if isinstance(properties, dict):
        for key in ("objectType", "object_type", "type"):
            if isinstance(found := properties.get(key), str):
                return LEGACY_TYPES.get(found, found)
    return LEGACY_TYPES.get(str(feature.get("id")), "annotation")


def class_of(feature: Mapping[str, Any]) -> str:
    """Return the name of a feature's class; "" if it has none.

    >>> class_of({"properties": {"classification": {"names": ["Tumor", "Positive"]}}})
    'Tumor: Positive'
    """
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    if isinstance(found, str):
        return found
    if not isinstance(found, dict):
        return ""
    names = found.get("names")
    if isinstance(names, list) and names:
        return ": ".join(map(str, names))
    return str(found.get("name") or "")


def nucleus_of(feature: Mapping[str, Any]) -> Any:  # noqa: ANN401 - parsed JSON
    """Return the geometry of the nucleus, also if it stands in the properties, where other tools put it."""
    if (found := feature.get("nucleusGeometry")) is None and isinstance(properties := feature.get("properties"), dict):
        found = properties.get("nucleusGeometry")
    return found


class _Reading:
    """Collects features as columns; their coordinates are built into shapes, some thousand at a time."""

    def __init__(self) -> None:
        self._areas: list[list[Rings]] = []
        self._nuclei: list[list[Rings]] = []
        self._shapes: list[NDArray[np.object_]] = []
        self._nuclear: list[NDArray[np.object_]] = []
        self._ids: list[str | None] = []
        self._classes: list[str] = []
        self._types: list[str] = []
        self._skipped: Counter[str] = Counter()
        # A text that occurs a million times is kept once.
        self._texts: dict[str, str] = {}

    def add(self, feature: dict[str, Any]) -> None:
        """Add one feature."""
        geometry = feature.get("geometry")
        areas = areas_of(geometry)
        if not areas:
            self._skipped[_geometry_type(geometry)] += 1
            return
        name, kind = class_of(feature), type_of(feature)
        self._areas.append(areas)
        nucleus = nucleus_of(feature)
        self._nuclei.append([] if nucleus is None else areas_of(nucleus))
        self._ids.append(id_of(feature))
        self._classes.append(self._texts.setdefault(name, name))
        self._types.append(self._texts.setdefault(kind, kind))
        if len(self._areas) >= _AT_ONCE:
            self._build()

    def _build(self) -> None:
        self._shapes.append(build(self._areas))
        self._nuclear.append(build(self._nuclei))
        self._areas, self._nuclei = [], []

    def done(self, provenance: Mapping[str, Any]) -> Annotations:
        """Return all features; those with malformed coordinates are left out and counted."""
        self._build()
        shapes, nuclei = np.concatenate(self._shapes), np.concatenate(self._nuclear)
        kept = shapes != None  # noqa: E711 - of each item
        if damaged := int((~kept).sum()):
            self._skipped[DAMAGED] = damaged
        ids, classes, types = (
            np.array([None, *column], object)[1:][kept] for column in (self._ids, self._classes, self._types)
        )
        nuclear = nuclei[kept] if (nuclei != None).any() else None  # noqa: E711
        return Annotations(shapes[kept], ids, classes, types, nuclear, dict(self._skipped), provenance)


def _crs_of(found: Any) -> str:  # noqa: ANN401 - parsed JSON
    match found:
        case {"properties": {"name": str(name)}} | str(name):
            return name
    return ""


def _geometry_type(geometry: Any) -> str:  # noqa: ANN401 - parsed JSON
    if not isinstance(geometry, dict):
        return "no geometry"
    kind = geometry.get("type")
    if kind in ("Polygon", "MultiPolygon"):
        return f"empty {kind}"
    return str(kind) if kind in _OTHER_GEOMETRIES else "unknown geometry"
