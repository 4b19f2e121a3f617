"""Areas of a slide as locked annotations in GeoJSON for QuPath: the tissue, and the region of interest."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt

TISSUE = Prompt("tissue", "tissue", "region", "Tissue", (110, 140, 150), known=True)
#: A class that QuPath does not count.
REGION = Prompt("region", "region of interest", "region", "Region*", (0, 0, 180), known=True)
_IDS = uuid.UUID("5f0c7f0e-6f0b-5d3a-9c53-0d4b7a1f5c11")
_RINGS_AT_ONCE = 1 << 14


def write_areas(path: Path, areas: Iterable[NDArray[np.object_] | Rings], what: Prompt, context: ExportContext) -> None:
    """Write areas as locked annotations.

    Parameters
    ----------
    path : Path
    areas : iterable of object array (N,) or Rings
        Polygons and MultiPolygons, some at a time, or one polygon of many rings, the outer one first; in level-0
        pixels, valid for QuPath.
    what : Prompt
        What they are; gives the name of their class, and its colour.
    context : ExportContext
        Its classes are not used.
    """
    with GeoJsonExporter(path, replace(context, classes=ClassTable.of([what])), locked=True) as exporter:
        for some in areas:
            if isinstance(some, Rings):
                exporter.write_polygon(some, _id(_wkb(some)), 0)
            else:
                ids = [_id([shape]) for shape in shapely.to_wkb(some)]
                exporter.write(ObjectBatch(some, np.zeros(len(some), np.int16), np.array(ids, object), {}))


def _id(wkb: Iterable[bytes]) -> str:
    """Return the UUID of version 5 of an area, made of the hexadecimal digits of its WKB."""
    digest = hashlib.sha1(_IDS.bytes, usedforsecurity=False)
    for part in wkb:
        digest.update(part.hex().encode())
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def _wkb(rings: Rings) -> Iterator[bytes]:
    """Yield the WKB of a polygon, some rings at a time."""
    yield b"\x01" + np.array([shapely.GeometryType.POLYGON, len(rings)], "<u4").tobytes()
    for part in rings.parts(_RINGS_AT_ONCE):
        # Each ring is its number of points, in four bytes, and then the points, in four times as many.
        words = np.empty(len(part) + 4 * len(part.points), "<u4")
        is_size = np.zeros(len(words), bool)
        is_size[np.arange(len(part)) + 4 * part.offsets[:-1]] = True
        words[is_size] = part.sizes
        words[~is_size] = part.points.astype("<f8").ravel().view("<u4")
        yield words.tobytes()
