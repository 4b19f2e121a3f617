"""GeoParquet 1.1 of the objects: one row each, for tables and notebooks (pandas, geopandas, DuckDB, R)."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.objects.batch import ObjectBatch, variants

ROWS_PER_GROUP = 20_000
_FIXED = {
    "id": pa.string(),
    "prompt": pa.string(),
    "class_name": pa.string(),
    "kind": pa.string(),
    "centroid_x_level0": pa.float64(),
    "centroid_y_level0": pa.float64(),
    "geometry": pa.binary(),
}
_COORDINATES = (
    "geometry: level-0 pixels minus offset_level0_px, as in the GeoJSON; "
    "centroid_x_level0 and centroid_y_level0: level-0 pixels, nothing subtracted"
)


class ParquetExporter(StreamingExporter):
    """One row per object: id, prompt, class, kind, centroid, outline (WKB), one float32 column per measurement.

    Cells that have a nucleus also have its outline: `nucleus_geometry`.

    Notes
    -----
    Rows are in the order of the batches, in groups of 20,000 whatever the size of batches. A measurement that only
    later objects have is null in the rows before. The file's key ``wsi_parse`` holds the provenance.
    """

    file_name: ClassVar[str] = "objects.parquet"

    def __init__(self, path: Path, context: ExportContext) -> None:
        super().__init__(path, context)
        named = variants(context.prompts)
        self._names = {
            "prompt": pa.array([prompt.name for prompt in named], pa.string()),
            "class_name": pa.array([prompt.class_name for prompt in named], pa.string()),
            "kind": pa.array([prompt.kind for prompt in named], pa.string()),
        }
        self._schema = pa.schema(_FIXED)
        self._waiting: list[pa.Table] = []
        self._types: set[str] = set()
        self._box = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._temporary: Path
        self._writer: pq.ParquetWriter

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._temporary = temporary
        self._writer = _writer(temporary, self._schema)
        stack.callback(lambda: self._writer.close())

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        if not len(batch):
            return
        table = self._table(batch)
        self._widen(table.schema)
        self._waiting.append(table)
        while sum(waiting.num_rows for waiting in self._waiting) >= ROWS_PER_GROUP:
            self._write_group()

    def _table(self, batch: ObjectBatch) -> pa.Table:
        which = pa.array(batch.variant)
        centroid = shapely.get_coordinates(shapely.centroid(batch.geometry))
        offset = np.array(self.context.offset_level0)
        shapes = shapely.set_coordinates(batch.geometry.copy(), shapely.get_coordinates(batch.geometry) - offset)
        low_x, low_y, high_x, high_y = shapely.total_bounds(shapes)
        self._box[:2] = np.minimum(self._box[:2], (low_x, low_y))
        self._box[2:] = np.maximum(self._box[2:], (high_x, high_y))
        self._types |= {shapely.GeometryType(kind).name for kind in np.unique(shapely.get_type_id(shapes))}
        columns = {
            "id": pa.array(batch.ids, pa.string()),
            **{name: values.take(which) for name, values in self._names.items()},
            "centroid_x_level0": pa.array(centroid[:, 0]),
            "centroid_y_level0": pa.array(centroid[:, 1]),
            "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
        }
        if batch.nuclei is not None:
            nuclei = shapely.set_coordinates(batch.nuclei.copy(), shapely.get_coordinates(batch.nuclei) - offset)
            columns["nucleus_geometry"] = pa.array(shapely.to_wkb(nuclei), pa.binary())
        for name, values in batch.measurements.items():
            columns[name] = pa.array(values.astype(np.float32), mask=np.isnan(values))
        return pa.table(columns)

    def _widen(self, schema: pa.Schema) -> None:
        """Add new columns: the rows written so far are copied, group by group, to the wider schema."""
        wider = pa.unify_schemas([self._schema, schema])
        if len(wider) == len(self._schema):
            return
        self._schema = wider
        self._writer.close()
        earlier = self._temporary.with_name(self._temporary.name + ".earlier")
        self._temporary.replace(earlier)
        try:
            self._writer = _writer(self._temporary, wider)
            with pq.ParquetFile(earlier) as file:
                for group in range(file.num_row_groups):
                    self._writer.write_table(_filled(file.read_row_group(group), wider), ROWS_PER_GROUP)
        finally:
            earlier.unlink(missing_ok=True)

    def _write_group(self) -> None:
        rows = pa.concat_tables([_filled(table, self._schema) for table in self._waiting]).combine_chunks()
        self._writer.write_table(rows.slice(0, ROWS_PER_GROUP), ROWS_PER_GROUP)
        rest = rows.slice(ROWS_PER_GROUP)
        self._waiting = [rest] if rest.num_rows else []

    def _finish(self) -> None:
        if self._waiting:
            self._write_group()
        geo: dict[str, Any] = {"encoding": "WKB", "crs": None, "edges": "planar"}
        geo["geometry_types"] = [name for key, name in _TYPE_NAMES.items() if key in self._types]
        if self._types:
            geo["bbox"] = self._box.tolist()
        provenance = {
            **self.provenance,
            "coordinates": _COORDINATES,
            "offset_level0_px": list(self.context.offset_level0),
        }
        self._writer.add_key_value_metadata(
            {
                "geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geo}}),
                "wsi_parse": json.dumps(provenance, allow_nan=False),
            }
        )


_TYPE_NAMES = {"POLYGON": "Polygon", "MULTIPOLYGON": "MultiPolygon"}


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to a schema that has all its columns; what it lacks is null."""
    have = set(table.column_names)
    return pa.table(
        [table[field.name] if field.name in have else pa.nulls(table.num_rows, field.type) for field in schema],
        schema=schema,
    )
