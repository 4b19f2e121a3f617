"""Fixed cells of a level: the same pixel is read the same way whatever box asks for it; recent cells are kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box

ReadCell = Callable[[Box], NDArray[np.uint8]]


class LevelCells:
    """Assembles boxes of a level from aligned cells, and keeps the last ones.

    Parameters
    ----------
    level : Box
        The whole level.
    cell : (int, int)
        Width and height of a cell.
    read : callable
        Gives the pixels (rows, columns, 3) of a cell's box, cut at the level's edge.
    cache_bytes : int
        What is kept at most.
    """

    def __init__(self, level: Box, cell: tuple[int, int], read: ReadCell, cache_bytes: int = 24_000_000) -> None:
        self.level = level
        self.cell = cell
        self.reads = 0
        self._read = read
        self._keep = max(2, cache_bytes // (cell[0] * cell[1] * 3))
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of cells of the level."""
        return -(-self.level.width // self.cell[0]) * -(-self.level.height // self.cell[1])

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Read a box inside the level."""
        out = np.empty((*box.shape, 3), np.uint8)
        width, height = self.cell
        for row in range(box.y // height, -(-box.bottom // height)):
            for column in range(box.x // width, -(-box.right // width)):
                cell = Box(column * width, row * height, width, height).intersection(self.level)
                common = cell.intersection(box)
                out[common.relative_to(box).slices] = self._get(row, column, cell)[common.relative_to(cell).slices]
        return out

    def _get(self, row: int, column: int, cell: Box) -> NDArray[np.uint8]:
        with self._lock:
            pixels = self._kept.get((row, column))
            if pixels is not None:
                self._kept.move_to_end((row, column))
                return pixels
        pixels = self._read(cell)
        with self._lock:
            self.reads += 1
            self._kept[row, column] = pixels
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return pixels
