"""Layers and views of known objects, without a run."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.files import file_sha256
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.viewer.layers import Layer, layer_of_table
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.shelf import Shelf

TABLE = ClassTable.of([Prompt.parse("neoplastic cells"), Prompt.parse("glands")])


def in_box(box: dict[str, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points are in a box, as the viewer counts them."""
    return (box["x0"] <= x) & (x < box["x1"]) & (box["y0"] <= y) & (y < box["y1"])


def batch_of(
    shapes: Any, class_index: Any = 0, probability: Any = None, ids: list[str] | None = None, **measured: Any
) -> ObjectBatch:
    shapes = np.asarray(shapes, object)
    count = len(shapes)
    columns = {name: np.broadcast_to(np.asarray(values, np.float32), count) for name, values in measured.items()}
    if probability is not None:
        columns["class_probability"] = np.broadcast_to(np.asarray(probability, np.float32), count)
    return ObjectBatch(
        shapes,
        np.broadcast_to(np.asarray(class_index, np.int16), count),
        np.array(ids or [f"id {number}" for number in range(count)], object),
        columns,
    )


def write_table(path: Path, *batches: ObjectBatch, table: ClassTable = TABLE, offset: tuple[int, int] = (0, 0)) -> Path:
    with ParquetExporter(path, ExportContext(table, offset, {})) as exporter:
        for batch in batches:
            exporter.write(batch)
    return path


def layer_of(folder: Path, *batches: ObjectBatch, table: ClassTable = TABLE, offset: tuple[int, int] = (0, 0)) -> Layer:
    path = write_table(folder / "objects.parquet", *batches, table=table, offset=offset)
    return layer_of_table(
        ObjectTable(path, table), file_sha256(path), Shelf(folder, folder / "temporary", lambda _: None)
    )


@dataclass(frozen=True)
class Decoded:
    """A buffer of objects, read as a browser reads it."""

    origin: tuple[float, float]
    row: np.ndarray
    rings: list[list[np.ndarray]]
    holes: list[list[bool]]
    probability: np.ndarray
    centroid: np.ndarray
    class_index: np.ndarray

    def shapes(self) -> np.ndarray:
        """Return polygons in level-0 pixels: each ring that is no hole begins a part."""
        found = []
        for rings, holes in zip(self.rings, self.holes, strict=True):
            parts: list[tuple[np.ndarray, list[np.ndarray]]] = []
            for ring, is_hole in zip(rings, holes, strict=True):
                if is_hole:
                    parts[-1][1].append(ring + self.origin)
                else:
                    parts.append((ring + self.origin, []))
            polygons = [shapely.Polygon(shell, inner) for shell, inner in parts]
            found.append(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
        return np.array([None, *found], object)[1:]


def decode(content: bytes) -> Decoded:
    magic, version, objects, rings, points, reserved, *origin = struct.unpack_from("<6I2d", content)
    assert (magic, version, reserved) == (0x56505357, 1, 0)
    at = 40

    def take(kind: str, count: int) -> np.ndarray:
        nonlocal at
        values = np.frombuffer(content, kind, count, at)
        at += values.nbytes
        return values

    row, ring_start, point_start = take("<u4", objects), take("<u4", objects + 1), take("<u4", rings + 1)
    xy = take("<f4", 2 * points).reshape(-1, 2).astype(float)
    probability, centroid = take("<f4", objects), take("<f4", 2 * objects).reshape(-1, 2).astype(float)
    class_index, hole = take("u1", objects), take("u1", rings)
    assert at == len(content)
    each = [xy[point_start[ring] : point_start[ring + 1]] for ring in range(rings)]
    spans = [range(ring_start[number], ring_start[number + 1]) for number in range(objects)]
    return Decoded(
        (origin[0], origin[1]),
        row,
        [[each[ring] for ring in span] for span in spans],
        [[bool(hole[ring]) for ring in span] for span in spans],
        probability,
        centroid,
        class_index,
    )


def all_cells(layer: Layer) -> list[Decoded]:
    """Return the buffers of all cells, and of the large objects."""
    left, top, right, bottom = layer.store.cells_box
    found = [layer.store.cell(column, row) for row in range(top, bottom) for column in range(left, right)]
    return [decode(content) for content in (*found, layer.store.large()) if content is not None]
