"""ParquetSource: the objects of a finished run, read back from objects.parquet exactly as they were written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.exporters.parquet import FIXED, MEASUREMENT, NUCLEUS, OFFSET, PROVENANCE_KEY
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable

# Limits the objects held at once, also where another program has made the row groups larger.
_ROWS_AT_ONCE = 20_000
_READ = ("id", "prompt", "unsure", "geometry")


class ParquetSource:
    """The objects of a file that :class:`wsi_parse.exporters.parquet.ParquetExporter` wrote.

    Batches hold the same objects in the same order, with the same ids, outlines and numbers; only the ends of the
    batches are others. So a format that is written of them is the one that the run would have written.

    Parameters
    ----------
    path : Path
    classes : ClassTable
        Gives names and colours; the file only tells prompt and sure or unsure.

    Raises
    ------
    StoreError
        The file is missing, damaged, or not one of ours.
    """

    def __init__(self, path: Path, classes: ClassTable) -> None:
        self._path = path
        self._classes = classes
        with self._opened() as file:
            schema, groups = file.schema_arrow, file.metadata.num_row_groups
            self._offset = self._offset_of(file.metadata.metadata or {})
        self._groups = groups
        have = {field.name: field.type for field in schema}
        for name, kind in FIXED.items():
            if have.get(name) != kind:
                raise self._error(f"it has no column {name} of the type that wsi-parse writes")
        self._columns = [name for name in have if name in _READ or name not in FIXED]
        self._measurements = [name for name in self._columns if name not in _READ and name != NUCLEUS]
        others = [name for name in self._measurements if have[name] != MEASUREMENT]
        if others or have.get(NUCLEUS, pa.binary()) != pa.binary():
            raise self._error(f"its column {(others or [NUCLEUS])[0]} was not written by wsi-parse")

    @property
    def classes(self) -> ClassTable:
        """What the `class_index` of the batches means."""
        return self._classes

    @property
    def measurements(self) -> list[str]:
        """Names of the columns of measurements, in the order of the file."""
        return list(self._measurements)

    @property
    def steps(self) -> int:
        """Number of row groups."""
        return self._groups

    @property
    def offset_level0(self) -> tuple[int, int]:
        """What was subtracted from the outlines in the file, and is added again."""
        return self._offset

    def batches(self) -> Iterator[ObjectBatch]:
        """Yield all objects in their order; at most 20,000 are held at once."""
        with self._opened() as file:
            yield from self._read(file, range(self._groups))

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        """Yield the objects whose bounding boxes meet a box; only row groups with bounds that meet it are read."""
        sides = np.array([box_level0.x, box_level0.y, box_level0.right, box_level0.bottom], float)
        with self._opened() as file:
            groups = [group for group in range(self._groups) if self._may_meet(file, group, sides)]
            for batch in self._read(file, groups):
                met = _meets(shapely.bounds(batch.geometry).T, sides)
                if met.any():
                    yield batch.take(met)

    def _may_meet(self, file: pq.ParquetFile, group: int, sides: NDArray[np.float64]) -> bool:
        """Tell from the statistics of a row group whether an object of it can meet a box."""
        found = file.metadata.row_group(group)
        columns = {found.column(index).path_in_schema: found.column(index) for index in range(found.num_columns)}
        statistics = [columns[f"bbox.{field.name}"].statistics for field in FIXED["bbox"]]
        if any(one is None or not one.has_min_max for one in statistics):
            return True
        low, high = [one.min for one in statistics[:2]], [one.max for one in statistics[2:]]
        return bool(_meets(np.array([*low, *high]) + np.tile(self._offset, 2), sides))

    def _read(self, file: pq.ParquetFile, groups: Any) -> Iterator[ObjectBatch]:  # noqa: ANN401 - any whole numbers
        for group in groups:
            for rows in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=self._columns):
                yield from self._batches_of(rows)

    def _batches_of(self, rows: pa.RecordBatch) -> Iterator[ObjectBatch]:
        """Convert rows to batches: one for each run of rows that all have a nucleus, or all have none."""
        if any(rows[name].null_count for name in ("id", "prompt", "unsure", "geometry")):
            raise self._error("it has objects without id, prompt or outline")
        whole = ObjectBatch(
            self._shapes(rows["geometry"]),
            self._class_index(rows),
            np.array(rows["id"].to_pylist(), object),
            {name: _numbers(rows[name]) for name in self._measurements},
        )
        if NUCLEUS not in self._columns:
            yield whole
            return
        nuclei, has_nucleus = rows[NUCLEUS], rows[NUCLEUS].is_valid().to_numpy(zero_copy_only=False)
        ends = [*(np.flatnonzero(has_nucleus[1:] != has_nucleus[:-1]) + 1).tolist(), len(rows)]
        start = 0
        for end in ends:
            part = whole.part(start, end)
            shapes = self._shapes(nuclei.slice(start, end - start)) if has_nucleus[start] else None
            yield ObjectBatch(part.geometry, part.class_index, part.ids, part.measurements, shapes)
            start = end

    def _shapes(self, texts: pa.BinaryArray) -> NDArray[Any]:
        shapes = np.asarray(shapely.from_wkb(texts.to_numpy(zero_copy_only=False)), object)
        return shapely.set_coordinates(shapes, shapely.get_coordinates(shapes) + self._offset)

    def _class_index(self, rows: pa.RecordBatch) -> NDArray[np.int16]:
        prompts = pc.dictionary_encode(rows["prompt"])
        names = prompts.dictionary.to_pylist()
        known = {prompt.name for prompt in self._classes.prompts}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise self._error(f"it holds objects of the prompt {unknown[0]!r}, which is none of this run")
        rows_of = np.array(
            [[self._classes.index(name, unsure) for unsure in (False, True)] for name in names], np.int16
        )
        return rows_of[prompts.indices.to_numpy(), rows["unsure"].to_numpy(zero_copy_only=False).astype(int)]

    def _offset_of(self, metadata: dict[bytes, bytes]) -> tuple[int, int]:
        try:
            x, y = json.loads(metadata[PROVENANCE_KEY.encode()])[OFFSET]
        except (KeyError, TypeError, ValueError):
            raise self._error("it does not say which offset its coordinates have") from None
        if type(x) is not int or type(y) is not int:
            raise self._error("it does not say which offset its coordinates have")
        return x, y

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
                yield file
        except StoreError:
            raise
        except FileNotFoundError:
            raise self._error("there is no such file") from None
        # The messages of Arrow may hold the path.
        except (OSError, pa.ArrowException, shapely.GEOSException) as error:
            raise self._error("it is damaged, or is not a Parquet file") from error

    def _error(self, reason: str) -> StoreError:
        return StoreError(
            f"The objects in {self._path.name} cannot be read: {reason}.",
            "Run the slide again with the same settings, which writes the file anew.",
        )


def _meets(bounds: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which bounds (left, top, right, bottom; each a number or an array) overlap a box with these sides."""
    left, top, right, bottom = bounds
    return np.asarray((right > sides[0]) & (bottom > sides[1]) & (left < sides[2]) & (top < sides[3]))


def _numbers(column: pa.Array) -> NDArray[np.float32]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)
