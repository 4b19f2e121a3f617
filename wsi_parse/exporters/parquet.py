"""GeoParquet 1.1 of the objects: one row each, for tables and notebooks (pandas, geopandas, DuckDB, R)."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.objects.batch import ObjectBatch

ROWS_PER_GROUP = 20_000
#: The columns that every file has. All others are measurements, but for NUCLEUS.
FIXED = {
    "id": pa.string(),
    "prompt": pa.string(),
    "unsure": pa.bool_(),
    "class_name": pa.string(),
    "kind": pa.string(),
    "centroid_x_level0": pa.float64(),
    "centroid_y_level0": pa.float64(),
    "geometry": pa.binary(),
    # GeoParquet gives these names to the bounds of a geometry. They let readers skip row groups.
    "bbox": pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")]),
}
NUCLEUS = "nucleus_geometry"
MEASUREMENT = pa.float32()
#: Keys of the file's metadata, and in the provenance.
PROVENANCE_KEY, OFFSET = "wsi_parse", "offset_level0_px"
_NO_NUMBERS = (*FIXED, NUCLEUS)
_COORDINATES = (
    "geometry, nucleus_geometry and bbox: level-0 pixels minus offset_level0_px, as in the GeoJSON; "
    "centroid_x_level0 and centroid_y_level0: level-0 pixels, nothing subtracted"
)


class ParquetExporter(StreamingExporter):
    """One row per object: id, prompt, class, kind, centroid, outline (WKB), one float32 column per measurement.

    Cells that have a nucleus also have its outline: `nucleus_geometry`.

    Notes
    -----
    Rows are in the order of the batches, in groups of 20,000 whatever the size of batches. A measurement that only
    later objects have is null in the rows before. The file's key ``wsi_parse`` holds the provenance.

    Nothing is lost: :class:`wsi_parse.exporters.parquet_source.ParquetSource` reads the same objects back.
    """

    file_name: ClassVar[str] = "objects.parquet"

    def __init__(self, path: Path, context: ExportContext) -> None:
        super().__init__(path, context)
        rows = context.classes.rows
        self._of_class = {
            "prompt": pa.array([row.prompt.name for row in rows], pa.string()),
            "unsure": pa.array([row.unsure for row in rows], pa.bool_()),
            "class_name": pa.array([row.name for row in rows], pa.string()),
            "kind": pa.array([row.kind for row in rows], pa.string()),
        }
        self._schema = pa.schema(FIXED)
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
        which = pa.array(batch.class_index)
        centroid = shapely.get_coordinates(shapely.centroid(batch.geometry))
        shapes = self._moved(batch.geometry)
        bounds = shapely.bounds(shapes)
        self._box[:2] = np.minimum(self._box[:2], bounds[:, :2].min(axis=0))
        self._box[2:] = np.maximum(self._box[2:], bounds[:, 2:].max(axis=0))
        self._types |= {shapely.GeometryType(kind).name for kind in np.unique(shapely.get_type_id(shapes))}
        columns = {
            "id": pa.array(batch.ids, pa.string()),
            **{name: values.take(which) for name, values in self._of_class.items()},
            "centroid_x_level0": pa.array(centroid[:, 0]),
            "centroid_y_level0": pa.array(centroid[:, 1]),
            "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
            "bbox": pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], fields=list(FIXED["bbox"])),
        }
        if batch.nuclei is not None:
            columns[NUCLEUS] = pa.array(shapely.to_wkb(self._moved(batch.nuclei)), pa.binary())
        for name, values in batch.measurements.items():
            columns[name] = pa.array(values.astype(np.float32), MEASUREMENT, mask=np.isnan(values))
        return pa.table(columns)

    def _moved(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """Return the shapes in the frame of the file: quarter pixels minus whole ones, which is exact."""
        points = shapely.get_coordinates(shapes)
        if not any(self.context.offset_level0) and points.min(initial=1.0) > 0:
            return shapes
        points -= self.context.offset_level0
        # Adding zero turns -0 into 0, which is what a reader makes of it.
        return shapely.set_coordinates(shapes.copy(), points + 0.0)

    def _widen(self, schema: pa.Schema) -> None:
        """Add new columns: the rows written so far are copied, group by group, to the wider schema."""
        wider = pa.unify_schemas([self._schema, schema])
        if len(wider) == len(self._schema):
            return
        # Measurements come last, whether nuclei or measurements are seen first.
        wider = pa.schema(sorted(wider, key=lambda field: (field.name not in FIXED) + (field.name not in _NO_NUMBERS)))
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
        covering = {"bbox": {field.name: ["bbox", field.name] for field in FIXED["bbox"]}}
        geo: dict[str, Any] = {"encoding": "WKB", "crs": None, "edges": "planar", "covering": covering}
        geo["geometry_types"] = [name for key, name in _TYPE_NAMES.items() if key in self._types]
        if self._types:
            geo["bbox"] = self._box.tolist()
        provenance = {
            **self.provenance,
            "coordinates": _COORDINATES,
            OFFSET: list(self.context.offset_level0),
        }
        self._writer.add_key_value_metadata(
            {
                "geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geo}}),
                PROVENANCE_KEY: json.dumps(provenance, allow_nan=False),
            }
        )


_TYPE_NAMES = {"POLYGON": "Polygon", "MULTIPOLYGON": "MultiPolygon"}


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # With a checksum for each page, so that a damaged file is never read as other objects.
    return pq.ParquetWriter(path, schema, compression="zstd", store_schema=False, write_page_checksum=True)


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table to a schema that has all its columns; what it lacks is null."""
    have = set(table.column_names)
    return pa.table(
        [table[field.name] if field.name in have else pa.nulls(table.num_rows, field.type) for field in schema],
        schema=schema,
    )
