"""How a slide is cut up: tiles (seen by the model), blocks (predicted and stored), chunks (outlined)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SettingsError
from wsi_parse.geometry import Box, Frame


@dataclass(frozen=True, slots=True)
class Tile:
    """What the model sees once.

    Parameters
    ----------
    row, column : int
        Place in the grid.
    core : Box
        In read-frame pixels. The cores of a grid cover the frame exactly once.
    read : Box
        In read-frame pixels: the core with half the overlap on every side; may reach past the slide.
    """

    row: int
    column: int
    core: Box
    read: Box


@dataclass(frozen=True, slots=True)
class GridRange:
    """Places in a lattice of squares, half-open ranges of rows and columns."""

    rows: range
    columns: range

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in self.rows for column in self.columns)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Overlapping tiles over a frame, in blocks of `block` x `block`.

    Parameters
    ----------
    frame : Frame
        The lattice tiles are read on.
    tile_px, overlap_px : int
        Side of a tile, and what two neighbours share, in frame pixels.
    block : int
        Tiles a side of a block.
    """

    frame: Frame
    tile_px: int
    overlap_px: int
    block: int

    @classmethod
    def of(cls, frame: Frame, tile_px: int, overlap: float, stride: int, block: int) -> "TileGrid":
        """Lay a grid whose tiles and overlaps fall on the output lattice.

        Parameters
        ----------
        frame : Frame
        tile_px : int
        overlap : float
            Share of a tile; rounded to a multiple of twice the stride.
        stride : int
            The largest stride of the model's channels.
        block : int

        Raises
        ------
        SettingsError
            Where the stride does not divide the tile.
        """
        if tile_px % stride:
            raise SettingsError(
                f"A tile of {tile_px} px is no multiple of the model's stride {stride}.",
                "Change model.field_um.",
            )
        half = round(overlap * tile_px / (2 * stride))
        return cls(frame, tile_px, min(2 * half * stride, tile_px - stride), block)

    @property
    def step(self) -> int:
        """Distance of neighbouring tiles; side of a core."""
        return self.tile_px - self.overlap_px

    @property
    def margin(self) -> int:
        """What a tile reads beyond its core, in frame pixels."""
        return self.overlap_px // 2

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tiles (rows, columns)."""
        return -(-self.frame.height // self.step), -(-self.frame.width // self.step)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Number of blocks (rows, columns)."""
        rows, columns = self.shape
        return -(-rows // self.block), -(-columns // self.block)

    def tile(self, row: int, column: int) -> Tile:
        """Return the tile at a place of the grid."""
        square = Box(column * self.step, row * self.step, self.step, self.step)
        read = Box(square.x - self.margin, square.y - self.margin, self.tile_px, self.tile_px)
        return Tile(row, column, square.intersection(self.frame.box), read)

    def tiles(self) -> Iterator[Tile]:
        """All tiles, row by row."""
        rows, columns = self.shape
        return (self.tile(row, column) for row in range(rows) for column in range(columns))

    def tiles_of(self, block: tuple[int, int]) -> GridRange:
        """Places of the tiles of a block (row, column)."""
        rows, columns = self.shape
        top, left = block[0] * self.block, block[1] * self.block
        return GridRange(range(top, min(rows, top + self.block)), range(left, min(columns, left + self.block)))

    def tiles_reading(self, box_frame: Box) -> GridRange:
        """Places of the tiles whose read boxes touch a box."""
        rows, columns = self.shape
        return GridRange(
            self._reading(box_frame.y, box_frame.bottom, rows),
            self._reading(box_frame.x, box_frame.right, columns),
        )

    def _reading(self, start: int, stop: int, count: int) -> range:
        first = (start + self.margin - self.tile_px) // self.step + 1
        last = -(-(stop + self.margin) // self.step)
        return range(max(0, first), max(0, min(count, last)))


@dataclass(frozen=True)
class Selection:
    """The tiles of a grid that are looked at.

    Parameters
    ----------
    grid : TileGrid
    chosen : bool array (rows, columns)
    """

    grid: TileGrid
    chosen: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of tiles looked at."""
        return int(self.chosen.sum())

    def of_block(self, block: tuple[int, int]) -> list[tuple[int, int]]:
        """Places of the chosen tiles of a block."""
        return [place for place in self.grid.tiles_of(block) if self.chosen[place]]

    def reading(self, box_frame: Box) -> list[tuple[int, int]]:
        """Places of the chosen tiles that read any of a box."""
        return [place for place in self.grid.tiles_reading(box_frame) if self.chosen[place]]

    def blocks(self) -> list[tuple[int, int]]:
        """Blocks with at least one chosen tile, row by row."""
        rows, columns = np.nonzero(self.chosen)
        return sorted(
            {(int(r), int(c)) for r, c in zip(rows // self.grid.block, columns // self.grid.block, strict=True)}
        )

    def blocks_under(self, box_frame: Box) -> list[tuple[int, int]]:
        """Blocks with a chosen tile that reads any of a box."""
        side = self.grid.block
        return sorted({(row // side, column // side) for row, column in self.reading(box_frame)})
