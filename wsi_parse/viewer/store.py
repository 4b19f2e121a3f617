"""Store: the buffers of a layer, mapped from the disk and sorted by cells of the slide."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.viewer.buffer import ObjectBuffer
from wsi_parse.viewer.layout import BINS, CELL_PX

META_NAME, LARGE_NAME = "view.json", "large.bin"
_ARRAYS = (
    "row",
    "class_index",
    "probability",
    "centroid",
    "kind",
    "cell",
    "cell_start",
    "cell_small",
    "cell_sums",
    "large",
    "ring_start",
    "point_start",
    "points",
    "hole",
    "values",
)
# The largest float32 below the side of a cell: a centroid that is rounded stays in its cell.
_INSIDE = np.nextafter(np.float32(CELL_PX), np.float32(0))


class Store:
    """The objects of a layer, sorted by cells; several threads may read it.

    Parameters
    ----------
    folder : Path
        What :class:`wsi_parse.viewer.build.StoreBuilder` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / META_NAME).read_text(encoding="utf-8"))
        arrays = {name: _mapped(folder / f"{name}.npy") for name in _ARRAYS}
        self.row, self.class_index, self.probability = (arrays[name] for name in _ARRAYS[:3])
        self.centroid, self.kind = arrays["centroid"], arrays["kind"]
        self.start, self.sums, self.values = arrays["cell_start"], arrays["cell_sums"], arrays["values"]
        self._cell, self._small, self._large = arrays["cell"], arrays["cell_small"], arrays["large"]
        self._ring_start, self._point_start = arrays["ring_start"], arrays["point_start"]
        self._points, self._hole = arrays["points"], arrays["hole"]
        # Mapped at once, as the arrays are: another process may replace the folder while this one shows it.
        self._large_buffer = np.memmap(folder / LARGE_NAME, np.uint8, "r")
        low = self._cell.min(axis=0, initial=0).astype(np.int64)
        self._low, self._wide = low, np.int64(self._cell[:, 0].max(initial=0)) - low[0] + 1
        #: First column and row of cells with objects, and the ends of both.
        self.cells_box = _box_of(self._cell)
        self._key = self._keys(self._cell[:, 0].astype(np.int64), self._cell[:, 1].astype(np.int64))

    @property
    def objects(self) -> list[int]:
        """Number of objects of each class."""
        return list(self.facts["objects"])

    def cell(self, column: int, row: int) -> bytes | None:
        """Return the buffer of the objects of a cell without the large ones; None if there are none."""
        found = self._objects_of(column, row)
        if found is None:
            return None
        objects = slice(*found)
        ring_start = self._ring_start[found[0] : found[1] + 1]
        rings = slice(int(ring_start[0]), int(ring_start[-1]))
        point_start = self._point_start[rings.start : rings.stop + 1]
        origin = np.array([column, row], np.int64) * CELL_PX
        return ObjectBuffer(
            (float(origin[0]), float(origin[1])),
            self.row[objects],
            ring_start - ring_start[0],
            point_start - point_start[0],
            self._points[int(point_start[0]) : int(point_start[-1])],
            self.probability[objects],
            np.minimum((self.centroid[objects] - origin).astype(np.float32), _INSIDE),
            self.class_index[objects],
            self._hole[rings],
        ).to_bytes()

    def class_of(self, row: int) -> int | None:
        """Return the index of the class of the object in a row; None if there is none."""
        found = np.flatnonzero(self.row == row)
        return int(self.class_index[found[0]]) if len(found) else None

    def large(self) -> bytes | None:
        """Return the buffer of the large objects; None if there are none."""
        return self._large_buffer.tobytes() if len(self._large) else None

    @property
    def measurements(self) -> list[str]:
        """Names of the measurements."""
        return [each["name"] for each in self.facts["measurements"]]

    def values_of(self, number: int, column: int, row: int) -> bytes | None:
        """Return a measurement of the objects of a cell, in the order of its buffer; None if there are none."""
        found = self._objects_of(column, row)
        return None if found is None else _floats(self.values[number, found[0] : found[1]])

    def large_values_of(self, number: int) -> bytes | None:
        """Return a measurement of the large objects, in the order of their buffer; None if there are none."""
        return _floats(self.values[number][self._large]) if len(self._large) else None

    def _objects_of(self, column: int, row: int) -> tuple[int, int] | None:
        """Return the first object of a cell and the end of those that are not large; None if there are none."""
        place = int(self.cells_before(column, row))
        if place == len(self._cell) or self._cell[place].tolist() != [column, row] or not self._small[place]:
            return None
        first = int(self.start[place])
        return first, first + int(self._small[place])

    def cells_before(self, column: Any, row: Any) -> NDArray[np.int64]:  # noqa: ANN401 - numbers or arrays of them
        """Return how many cells with objects come before cells (column, row), row after row."""
        left, _, right, _ = self.cells_box
        inside = np.clip(np.asarray(column, np.int64), left, right)
        return np.searchsorted(self._key, self._keys(inside, np.asarray(row, np.int64)))

    def _keys(self, column: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number cells row after row; a row has one number more than it has cells, for its end."""
        return (row - self._low[1]) * (self._wide + 1) + column - self._low[0]

    @property
    def wide(self) -> int:
        """Number of classes times bins."""
        return len(self.objects) * BINS


def _box_of(cell: NDArray[np.int32]) -> tuple[int, int, int, int]:
    if not len(cell):
        return 0, 0, 0, 0
    (left, top), (right, bottom) = cell.min(axis=0).tolist(), cell.max(axis=0).tolist()
    return left, top, right + 1, bottom + 1


def _floats(values: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _mapped(path: Path) -> NDArray[Any]:
    """Map an array from the disk; an empty one cannot be mapped."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return np.load(path, allow_pickle=False)
