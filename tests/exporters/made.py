"""Objects to write: fuzzed outlines, and many plain cells."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.text import RESEARCH_ONLY

PROMPTS = (Prompt.parse("neoplastic cells"), Prompt.parse("glands"), Prompt.parse('blue "dots" é'))
CLASSES = ClassTable.of(PROMPTS)
PROVENANCE = {"notice": RESEARCH_ONLY, "wsi_parse": "0", "slide": {"name": "slide.svs"}, "frame": "qupath"}
MAX_PX = 200_000

coordinates = st.floats(0, 40, allow_nan=False, width=32)
points = st.tuples(coordinates, coordinates)
# Random rings cross themselves, double back, and collapse.
rings = st.lists(points, min_size=3, max_size=9)


@st.composite
def nested(draw: st.DrawFn) -> Any:
    """A square in a square in a square ...: holes inside holes, some on the shell, some outside."""
    x, y, side = draw(coordinates), draw(coordinates), draw(st.floats(0.1, 40))
    holes = []
    for _ in range(draw(st.integers(1, 4))):
        left, top, size = x + draw(st.floats(-2, 20)), y + draw(st.floats(-2, 20)), draw(st.floats(0.05, 20))
        holes.append(shapely.box(left, top, left + size, top + size).exterior)
    return shapely.Polygon(shapely.box(x, y, x + side, y + side).exterior, holes)


@st.composite
def pinched(draw: st.DrawFn) -> Any:
    """Two lobes that meet in one point, or in a neck thinner than the grid."""
    neck = draw(st.sampled_from([0.0, 0.01, 0.1, 0.2]))
    x, y = draw(points)
    return shapely.Polygon(
        [(x, y), (x + 5, y + 5 - neck), (x + 10, y), (x + 10, y + 10), (x + 5, y + 5 + neck), (x, y + 10)]
    )


@st.composite
def slivers(draw: st.DrawFn) -> Any:
    """Long and thinner than the grid."""
    x, y = draw(points)
    thin = draw(st.floats(0, 0.4))
    return shapely.Polygon([(x, y), (x + 30, y + draw(st.floats(0, 9))), (x + 30, y + 9 + thin), (x, y + thin)])


one = st.one_of(st.builds(shapely.Polygon, rings), nested(), pinched(), slivers())
several = st.lists(one, min_size=1, max_size=3).map(shapely.MultiPolygon)


@st.composite
def outlines(draw: st.DrawFn) -> NDArray[np.object_]:
    """Some geometries of all kinds, near or far from the origin; few are valid."""
    shapes = np.array(draw(st.lists(st.one_of(one, several), min_size=1, max_size=6)), object)
    far = draw(st.tuples(st.floats(0, MAX_PX), st.floats(0, MAX_PX)))
    # In 4096ths of a pixel: what lies nearer to a line than that is on it, and which side it takes is anybody's guess.
    return shapely.set_coordinates(shapes, np.rint((shapely.get_coordinates(shapes) + far) * 4096) / 4096)


def context(offset: tuple[int, int] = (0, 0)) -> ExportContext:
    return ExportContext(CLASSES, offset, PROVENANCE)


def batch_of(shapes: NDArray[np.object_], seed: int = 0) -> ObjectBatch:
    """Give shapes a prompt, an id and measurements; one of them is not always a number."""
    random = np.random.default_rng(seed)
    count = len(shapes)
    mean = random.uniform(0, 1, count)
    mean[::3] = np.nan
    return ObjectBatch(
        shapes,
        # All of them sure.
        2 * random.integers(0, len(PROMPTS), count).astype(np.int16),
        np.array([str(uuid.UUID(bytes=random.bytes(16))) for _ in range(count)], object),
        {"area_um2": (shapely.area(shapes) / 16).astype(np.float32), "probability_mean": mean.astype(np.float32)},
    )


def cells(count: int, seed: int = 0, side_px: float = 4000) -> ObjectBatch:
    """Hexagons anywhere in a square."""
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    middle = np.random.default_rng(seed).uniform(20, side_px, (count, 1, 2))
    ring = np.rint((middle + 10 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)) * 4) / 4
    return batch_of(shapely.polygons(ring), seed)


def written(path: Path, *batches: ObjectBatch, offset: tuple[int, int] = (0, 0)) -> bytes:
    """Write GeoJSON and return the file's bytes."""
    with GeoJsonExporter(path, context(offset)) as exporter:
        for batch in batches:
            exporter.write(batch)
    return path.read_bytes()


def shapes_of(collection: dict[str, Any]) -> NDArray[np.object_]:
    return shapely.from_geojson([json.dumps(feature["geometry"]) for feature in collection["features"]])
