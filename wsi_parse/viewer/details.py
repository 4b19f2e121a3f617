"""RowDetails: what is known of one object, read from its table when somebody clicks on it."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsi_parse.viewer.kept import Kept
from wsi_parse.viewer.object_table import NO_MEASUREMENTS, ObjectTable
from wsi_parse.viewer.rings import starts_of

# Row groups that are kept: clicks lie close together.
_KEPT = 4


class Details(Protocol):
    """What is known of the objects of a layer, row by row."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def row(self, row: int) -> dict[str, Any] | None:
        """Return what is known of the object in a row; None if there is no such row."""
        ...


class RowDetails:
    """The rows of a Parquet file, without their outlines; several threads may read it.

    Parameters
    ----------
    table : ObjectTable
    foreign : bool
        Whether it was made of a file of somebody else, who asked for nothing by a prompt.
    """

    def __init__(self, table: ObjectTable, *, foreign: bool = False) -> None:
        self._table, self._foreign = table, foreign
        self._start = starts_of(table.group_rows)
        self._groups = Kept[pa.Table](_KEPT, lambda _: 1)

    def __len__(self) -> int:
        return int(self._start[-1])

    def row(self, row: int) -> dict[str, Any] | None:
        """Return what is known of the object in a row; None if there is no such row."""
        if not 0 <= row < len(self):
            return None
        group = int(np.searchsorted(self._start, row, "right")) - 1
        found = (
            self._groups.get(group, lambda: self._table.group(group))
            .slice(row - int(self._start[group]), 1)
            .to_pylist()[0]
        )
        measured = {name: value for name, value in found.items() if name not in NO_MEASUREMENTS}
        return {
            "id": found["id"],
            "class_name": found["class_name"],
            "prompt": "" if self._foreign else found["prompt"],
            "kind": found["kind"],
            "unsure": found["unsure"],
            "centroid": [found["centroid_x_level0"], found["centroid_y_level0"]],
            "measurements": {
                name: value for name, value in measured.items() if value is not None and math.isfinite(value)
            },
        }


@dataclass(frozen=True)
class JoinedDetails:
    """The rows of a file, followed by some of a run.

    Parameters
    ----------
    file, result : Details
    rows : int array (N,)
        The rows of the run.
    """

    file: Details
    result: Details
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.file) + len(self.rows)

    def row(self, row: int) -> dict[str, Any] | None:
        """Return what is known of the object in a row; None if there is no such row."""
        if row < len(self.file):
            return self.file.row(row)
        return self.result.row(int(self.rows[row - len(self.file)])) if row < len(self) else None
