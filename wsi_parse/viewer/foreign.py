"""A GeoJSON file of anybody, as a table of objects like that of a run; it is read in pieces, twice."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.annotations.frame import Provenance, SlideStated, slide_stated, stated_offset
from wsi_parse.annotations.polygons import Rings, areas_of, build
from wsi_parse.annotations.read import class_of, feature_of, flat_features, id_of, reading, type_of
from wsi_parse.annotations.stream import Features
from wsi_parse.errors import UsageError
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import UNSURE, Kind, Prompt, Rgb
from wsi_parse.viewer.object_table import NO_MEASUREMENTS, write_table

#: Colours that also the colour-blind tell apart (Okabe and Ito), for classes whose file gives them none.
PALETTE: tuple[Rgb, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
)
_NO_CLASS = "Unclassified"
_AT_ONCE = 5_000
# Each may be sure and unsure, and all together are numbered in one byte.
_MOST_CLASSES, _MOST_MEASUREMENTS = 100, 100
_CELLS = ("detection", "cell")


@dataclass
class Survey:
    """What a file holds, seen in the first reading.

    Parameters
    ----------
    path : Path
    classes : dict of (str, kind) to colour
        The classes without "Unsure", in the order of their first occurrence.
    measurements : dict of str to None
        Names of the numbers that objects have.
    skipped : Counter of str
        What has no area: points, lines.
    objects : int
    provenance : mapping
        What the file says of itself.
    """

    path: Path
    classes: dict[tuple[str, Kind], Rgb] = field(default_factory=dict)
    measurements: dict[str, None] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    provenance: Provenance = field(default_factory=dict)
    _sure: set[tuple[str, Kind]] = field(default_factory=set)

    @classmethod
    def of(cls, path: Path) -> "Survey":
        """Read a file for the first time.

        Raises
        ------
        UsageError
            It cannot be read, is not valid GeoJSON, or has more classes than the viewer can show.
        """
        survey, source = cls(path), Features(path)
        for feature in _features(source):
            survey._add(feature)
        provenance = source.members.get("wsi_parse")
        survey.provenance = provenance if isinstance(provenance, dict) else {}
        return survey

    def _add(self, feature: Mapping[str, Any]) -> None:
        geometry = feature.get("geometry")
        if not areas_of(geometry):
            kind = geometry.get("type") if isinstance(geometry, dict) else None
            self.skipped[str(kind) if isinstance(kind, str) else "objects without geometry"] += 1
            return
        self.objects += 1
        key, colour = _class_key(feature), _colour_of(feature)
        if key not in self.classes:
            self.classes[key] = colour or PALETTE[len(self.classes) % len(PALETTE)]
            if len(self.classes) > _MOST_CLASSES:
                raise UsageError(
                    f"{self.path.name} has more than {_MOST_CLASSES} classes, which are more than the viewer shows.",
                    "Check whether something else, such as an id, was written as the class.",
                )
        if key not in self._sure and not class_of(feature).endswith(UNSURE):
            # The unsure objects of a class have a paler colour.
            self._sure.add(key)
            self.classes[key] = colour or self.classes[key]
        for name in _measured(feature):
            if len(self.measurements) < _MOST_MEASUREMENTS:
                self.measurements[name] = None

    @property
    def table(self) -> ClassTable:
        """The classes as those of a run."""
        return ClassTable.of(
            [
                Prompt("", f"{kind} {name}", kind, name, colour, known=True)
                for (name, kind), colour in self.classes.items()
            ]
        )

    @property
    def slide(self) -> SlideStated | None:
        """The slide that the file says it was made from."""
        return slide_stated(self.provenance)

    def offset(self, in_qupath: tuple[int, int]) -> tuple[float, float]:
        """Return what is added to its coordinates: what it states, else what QuPath subtracts from this slide."""
        stated = stated_offset(self.provenance)
        x, y = in_qupath if stated is None else stated.tolist()
        return float(x), float(y)

    def write(self, path: Path, offset: tuple[float, float]) -> None:
        """Read the file again, and write its objects as a table in level-0 pixels."""
        write_table(path, self.table, self._batches(offset))

    def _batches(self, offset: tuple[float, float]) -> Iterator[ObjectBatch]:
        waiting = _Waiting(self)
        for feature in _features(Features(self.path)):
            waiting.add(feature)
            if len(waiting) >= _AT_ONCE:
                yield waiting.batch(offset)
        yield waiting.batch(offset)


class _Waiting:
    """Features until there are enough for a batch."""

    def __init__(self, survey: Survey) -> None:
        self._index = survey.table.index
        self._names = list(survey.measurements)
        self._clear()

    def _clear(self) -> None:
        self._areas: list[list[Rings]] = []
        self._ids: list[str] = []
        self._classes: list[int] = []
        self._values: list[list[float]] = []

    def __len__(self) -> int:
        return len(self._areas)

    def add(self, feature: Mapping[str, Any]) -> None:
        areas = areas_of(feature.get("geometry"))
        if not areas:
            return
        name, kind = _class_key(feature)
        unsure = class_of(feature).endswith(UNSURE)
        measured = _measured(feature)
        self._areas.append(areas)
        self._ids.append(id_of(feature) or "")
        self._classes.append(self._index(f"{kind} {name}", unsure))
        self._values.append([measured.get(each, math.nan) for each in self._names])

    def batch(self, offset: tuple[float, float]) -> ObjectBatch:
        """Return what waits, and begin anew; outlines with damaged coordinates or without area are left out."""
        shapes = build(self._areas)
        kept = ~shapely.is_missing(shapes) & ~shapely.is_empty(shapes)
        shapes = shapes[kept]
        shapes = shapely.set_coordinates(shapes, shapely.get_coordinates(shapes) + offset)
        values = np.array(self._values, np.float32).reshape(len(kept), len(self._names))[kept]
        columns = [f"{name} (measured)" if name in NO_MEASUREMENTS else name for name in self._names]
        batch = ObjectBatch(
            shapes,
            np.array(self._classes, np.int16)[kept],
            np.array([None, *self._ids], object)[1:][kept],
            dict(zip(columns, values.T, strict=True)),
        )
        self._clear()
        return batch


def _features(source: Features) -> Iterator[Mapping[str, Any]]:
    with reading(source.path):
        for number, text in enumerate(source, 1):
            yield from flat_features(feature_of(text, number, source.path))


def _class_key(feature: Mapping[str, Any]) -> tuple[str, Kind]:
    """Return the class of a feature without "Unsure", and whether it is one of cells or of regions."""
    name = class_of(feature).removesuffix(UNSURE) or _NO_CLASS
    return name, "cell" if type_of(feature) in _CELLS else "region"


def _colour_of(feature: Mapping[str, Any]) -> Rgb | None:
    """Return the colour that a feature gives its class; None if it gives none."""
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(found, dict):
        return None
    match found:
        case {"color": [int() as red, int() as green, int() as blue]}:
            colour = (red, green, blue)
        case {"colorRGB": int() as packed}:
            # As Java writes it: a number with a sign.
            colour = (packed >> 16 & 255, packed >> 8 & 255, packed & 255)
        case _:
            return None
    return colour if all(0 <= value <= 255 for value in colour) else None


def _measured(feature: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a feature, as QuPath writes them: a mapping, or before v0.4 a list of names and values."""
    properties = feature.get("properties")
    found = properties.get("measurements") if isinstance(properties, dict) else None
    if isinstance(found, list):
        found = {one.get("name"): one.get("value") for one in found if isinstance(one, dict)}
    if not isinstance(found, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in found.items()
        if type(value) in (int, float) and abs(value) < np.finfo(np.float32).max
    }
