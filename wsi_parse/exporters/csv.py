"""CSV of the objects: one row each, without outlines, for spreadsheets and statistics programs."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext, StreamingExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.text import RESEARCH_ONLY, for_csv

#: The columns that every file has, in this order; columns of measurements follow, then that of the notice.
COLUMNS = ("id", "prompt", "class_name", "unsure", "kind", "centroid_x_level0", "centroid_y_level0")
# Of a centroid; finer than any measurement of a microscope.
_DECIMALS = 3
_LINE_END = b"\r\n"
_AT_ONCE = 10_000
_COPIED_AT_ONCE = 1 << 20


class CsvExporter(StreamingExporter):
    """One row per object: id, prompt, class, sure or unsure, kind, centroid, one column per measurement.

    Notes
    -----
    As RFC 4180 and in UTF-8, with a header. Numbers are those of ``objects.parquet``; a cell is empty if an object has
    no such value. A text that a spreadsheet would run as a formula begins with an apostrophe; line breaks are spaces.

    The notice is the name of the last column, which is empty: a comment would stop many readers, and a sentence in
    each row would be a third of the file. So it is there also if nothing was found.

    Measurements that only later objects have get columns behind the others. The rows before are then copied once, with
    empty cells added, when the file is finished; memory does not grow with the number of objects.
    """

    file_name: ClassVar[str] = "objects.csv"

    def __init__(self, path: Path, context: ExportContext) -> None:
        super().__init__(path, context)
        rows = context.classes.rows
        self._of_class = _joined(
            [
                _texts([row.prompt.name for row in rows]),
                _texts([row.name for row in rows]),
                _texts(["true" if row.unsure else "false" for row in rows]),
                _texts([row.kind for row in rows]),
            ]
        )
        self._measurements: list[str] = []
        # (where it begins, number of measurements) of each part of the file; a part begins where columns are added.
        self._parts: list[tuple[int, int]] = []
        self._temporary: Path
        self._file: IO[bytes]

    def _open(self, temporary: Path, stack: ExitStack) -> None:
        self._temporary = temporary
        self._file = stack.enter_context(temporary.open("wb"))
        stack.callback(self._rows_path.unlink, missing_ok=True)

    @property
    def _rows_path(self) -> Path:
        return self._temporary.with_name(f".rows{self._temporary.name}")

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        new = [name for name in batch.measurements if name not in self._measurements]
        if len(batch) and (new or not self._parts):
            self._measurements += new
            if not self._parts:
                self._file.write(self._header())
            self._parts.append((self._file.tell(), len(self._measurements)))
        for part in batch.parts(_AT_ONCE):
            self._file.write(_lines(self._rows(part)))

    def _rows(self, batch: ObjectBatch) -> pa.StringArray:
        """Convert objects to rows, without the end of the line."""
        centroid = np.round(shapely.get_coordinates(shapely.centroid(batch.geometry)), _DECIMALS) + 0.0
        empty = pa.array([""] * len(batch), pa.string())
        return _joined(
            [
                pa.array(batch.ids, pa.string()),
                self._of_class.take(pa.array(batch.class_index)),
                _numbers(centroid[:, 0]),
                _numbers(centroid[:, 1]),
                *(
                    _numbers(batch.measurements[name]) if name in batch.measurements else empty
                    for name in self._measurements
                ),
                empty,
            ]
        )

    def _header(self) -> bytes:
        names = [*COLUMNS, *self._measurements, RESEARCH_ONLY]
        return ",".join(_texts(names).to_pylist()).encode() + _LINE_END

    def _finish(self) -> None:
        if not self._parts:
            self._file.write(self._header())
        if len(self._parts) < 2:
            return
        self._file.close()
        self._temporary.replace(self._rows_path)
        with self._rows_path.open("rb") as rows, self._temporary.open("wb") as file:
            file.write(self._header())
            ends = [start for start, _ in self._parts[1:]] + [self._rows_path.stat().st_size]
            for (start, count), end in zip(self._parts, ends, strict=True):
                rows.seek(start)
                # Only at the ends of rows: within a text there are no line breaks.
                added = b"," * (len(self._measurements) - count) + _LINE_END
                _copy(rows, file, end - start, added)


def _copy(source: IO[bytes], target: IO[bytes], size: int, line_end: bytes) -> None:
    """Copy bytes, with other ends of lines."""
    rest = b""
    while size:
        data = source.read(min(size, _COPIED_AT_ONCE))
        size = size - len(data) if data else 0
        # The two bytes of a line's end may be read apart.
        data = rest + data
        rest = data[-1:] if data.endswith(_LINE_END[:1]) else b""
        target.write(data[: len(data) - len(rest)].replace(_LINE_END, line_end))


def _texts(texts: list[str]) -> pa.StringArray:
    """Escape texts from outside for CSV, and so that no spreadsheet runs them as a formula."""
    return pa.array([_escaped(text) for text in texts], pa.string())


def _escaped(text: str) -> str:
    """Escape one text.

    >>> _escaped("=1+1"), _escaped('5" lens, new')
    ("'=1+1", '"5"" lens, new"')
    """
    text = for_csv(text, keep_numbers=False)
    return '"' + text.replace('"', '""') + '"' if re.search('[",]', text) or text != text.strip() else text


def _numbers(values: NDArray[np.floating]) -> pa.StringArray:
    """Convert numbers to their shortest exact texts; empty if not finite."""
    return pa.array(values, mask=~np.isfinite(values)).cast(pa.string()).fill_null("")


def _joined(columns: list[Any]) -> pa.StringArray:
    return pc.binary_join_element_wise(*columns, ",")


def _lines(rows: pa.StringArray) -> pa.Buffer:
    ended = pc.binary_join_element_wise(rows, _LINE_END.decode(), "")
    return pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(ended)], pa.int32()), ended), "")[0].as_buffer()
