"""ObjectTable: objects as a run writes them, row by row; files of others are brought to this form."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet import FIXED, NUCLEUS, ParquetExporter
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.files import file_stamp
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable

#: Names that are no measurements.
NO_MEASUREMENTS = frozenset({*FIXED, NUCLEUS})
_SHAPES = {"geometry", "bbox", NUCLEUS}


class ObjectTable:
    """A file of objects, of which only a part is in memory.

    Parameters
    ----------
    path : Path
        objects.parquet of a run, or a file with the same columns.
    classes : ClassTable

    Raises
    ------
    StoreError
        It is missing, damaged, or of another form.
    """

    def __init__(self, path: Path, classes: ClassTable) -> None:
        self.path, self.classes = path, classes
        self._opened = file_stamp(path)
        self._source = ParquetSource(path, classes)
        with pq.ParquetFile(path) as file:
            self._columns = [name for name in file.schema_arrow.names if name not in _SHAPES]
            groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        #: Number of rows in each group that is read at once.
        self.group_rows = np.array(groups, np.int64)

    def __len__(self) -> int:
        return int(self.group_rows.sum())

    @property
    def measurements(self) -> list[str]:
        """Names of the measurements."""
        return self._source.measurements

    def batches(self) -> Iterator[ObjectBatch]:
        """Yield all objects in their order, in level-0 pixels."""
        return self._source.batches()

    def centroids(self) -> NDArray[np.float64]:
        """Return the centroids of all objects as they stand in the file, float array (N, 2), in level-0 pixels."""
        with self._readable():
            table = pq.read_table(self.path, columns=["centroid_x_level0", "centroid_y_level0"])
        return np.stack([column.to_numpy() for column in table.columns], axis=1).reshape(-1, 2)

    def placed(self) -> Iterator[tuple[slice, ObjectBatch, NDArray[np.float64]]]:
        """Yield all objects in their order, with their rows and their centroids, float array (N, 2)."""
        centroids, row = self.centroids(), 0
        for batch in self.batches():
            rows = slice(row, row + len(batch))
            yield rows, batch, centroids[rows]
            row = rows.stop

    def class_index(self) -> NDArray[np.int16]:
        """Return the class of every object, int array (N,)."""
        parts: list[NDArray[Any]] = [batch.class_index for batch in self.batches()]
        return np.concatenate([np.zeros(0, np.int16), *parts])

    def group(self, index: int) -> pa.Table:
        """Read a group of rows without outlines.

        Raises
        ------
        StoreError
            The file is damaged, or another one than at first: its rows are other objects.
        """
        with self._readable(), pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            if file_stamp(self.path) != self._opened:
                raise OSError("it is another file")
            return file.read_row_group(index, columns=self._columns)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Make errors of ours of those of Arrow, which may hold the path."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"The objects in {self.path.name} cannot be read: it is damaged, or was changed meanwhile.",
                "Start the viewer again if it was written anew; else run the slide again with the same settings.",
            ) from error


def write_table(path: Path, classes: ClassTable, batches: Iterator[ObjectBatch]) -> None:
    """Write objects in level-0 pixels as a table."""
    with ParquetExporter(path, ExportContext(classes, (0, 0), {})) as exporter:
        for batch in batches:
            exporter.write(batch)
