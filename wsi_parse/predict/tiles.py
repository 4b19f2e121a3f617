"""How a slide is divided for prediction: tiles, which the model sees, and blocks, in which tiles are stored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SettingsError
from wsi_parse.geometry import Box, Frame


@dataclass(frozen=True, slots=True)
class Tile:
    """The part of a slide that the model sees at once.

    Parameters
    ----------
    row, column : int
        Index in the grid.
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
    """Indices (row, column) in a grid: half-open ranges of rows and columns; iterates row by row."""

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
        The lattice on which tiles are read.
    tile_px, overlap_px : int
        Side of a tile, and overlap of two neighbours, in frame pixels.
    block : int
        Tiles along each side of a block.
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
            Share of a tile's side, 0 to below 1; rounded to a multiple of twice the stride.
        stride : int
            The largest stride of the model's channels.
        block : int

        Raises
        ------
        SettingsError
            The tile's side is not a multiple of the stride.
        """
        if tile_px % stride:
            raise SettingsError(
                f"The tile size of {tile_px} px is not a multiple of the model's stride of {stride} px.",
                "Choose another --field-um.",
            )
        half = round(overlap * tile_px / (2 * stride))
        return cls(frame, tile_px, min(2 * half * stride, tile_px - stride), block)

    @property
    def step(self) -> int:
        """Distance between neighbouring tiles, and side of a core, in frame pixels."""
        return self.tile_px - self.overlap_px

    @property
    def block_px(self) -> int:
        """Side of a block, with what it shares with the next, in frame pixels."""
        return self.block * self.step + self.overlap_px

    @property
    def margin(self) -> int:
        """How far a tile reads beyond its core on each side, in frame pixels."""
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
        """Return the tile at an index of the grid."""
        square = Box(column * self.step, row * self.step, self.step, self.step)
        read = Box(square.x - self.margin, square.y - self.margin, self.tile_px, self.tile_px)
        return Tile(row, column, square.intersection(self.frame.box), read)

    def tiles(self) -> Iterator[Tile]:
        """Yield all tiles, row by row."""
        rows, columns = self.shape
        return (self.tile(row, column) for row in range(rows) for column in range(columns))

    def tiles_of(self, block: tuple[int, int]) -> GridRange:
        """Indices of the tiles of a block (row, column)."""
        rows, columns = self.shape
        top, left = block[0] * self.block, block[1] * self.block
        return GridRange(range(top, min(rows, top + self.block)), range(left, min(columns, left + self.block)))

    def tiles_reading(self, box_frame: Box) -> GridRange:
        """Indices of the tiles whose read boxes overlap a box."""
        rows, columns = self.shape
        return GridRange(
            self._range_reading(box_frame.y, box_frame.bottom, rows),
            self._range_reading(box_frame.x, box_frame.right, columns),
        )

    def ranges_reading(
        self, stretches: Sequence[tuple[int, int]], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First tiles and ends, of `count` along an axis, whose read boxes overlap stretches (start, stop) of it."""
        ranges = [self._range_reading(start, stop, count) for start, stop in stretches]
        firsts, ends = ([getattr(each, end) for each in ranges] for end in ("start", "stop"))
        # An empty range may begin behind its end.
        return np.minimum(firsts, ends).astype(np.int64), np.array(ends, np.int64)

    def _range_reading(self, start: int, stop: int, count: int) -> range:
        first = (start + self.margin - self.tile_px) // self.step + 1
        last = -(-(stop + self.margin) // self.step)
        return range(max(0, first), max(0, min(count, last)))


@dataclass(frozen=True)
class Selection:
    """The tiles of a grid that are predicted.

    Parameters
    ----------
    grid : TileGrid
    chosen : bool array (rows, columns)
    """

    grid: TileGrid
    chosen: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of chosen tiles."""
        return int(self.chosen.sum())

    def of_block(self, block: tuple[int, int]) -> list[tuple[int, int]]:
        """Indices of the chosen tiles of a block."""
        return [index for index in self.grid.tiles_of(block) if self.chosen[index]]

    def reading(self, box_frame: Box) -> list[tuple[int, int]]:
        """Indices of the chosen tiles whose read boxes overlap a box."""
        return [index for index in self.grid.tiles_reading(box_frame) if self.chosen[index]]

    def any_reading(self, down: Sequence[tuple[int, int]], across: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Return for each pair of stretches (start, stop), in frame pixels, whether :meth:`reading` finds a tile.

        Returns
        -------
        bool array (len(down), len(across))
        """
        rows, columns = self.grid.shape
        # How many tiles are chosen above and left of each corner of the grid.
        before = np.zeros((rows + 1, columns + 1), np.int64)
        before[1:, 1:] = self.chosen.cumsum(axis=0).cumsum(axis=1)
        top, bottom = self.grid.ranges_reading(down, rows)
        left, right = self.grid.ranges_reading(across, columns)
        counts = before[bottom][:, right] - before[top][:, right] - before[bottom][:, left] + before[top][:, left]
        return np.asarray(counts > 0)

    def blocks(self) -> list[tuple[int, int]]:
        """Indices of the blocks with at least one chosen tile, row by row."""
        rows, columns = np.nonzero(self.chosen)
        return sorted(
            {(int(r), int(c)) for r, c in zip(rows // self.grid.block, columns // self.grid.block, strict=True)}
        )

    def in_bands(self, blocks: Iterable[tuple[int, int]], across: int) -> list[tuple[int, int]]:
        """Order blocks in bands of `across` columns, each band row by row.

        Blocks below each other then follow soon, while the stored tiles that both need are still in memory, however
        wide the slide is.
        """
        return sorted(blocks, key=lambda block: (block[1] // across, block))

    def blocks_under(self, box_frame: Box) -> list[tuple[int, int]]:
        """Indices of the blocks with a chosen tile whose read box overlaps a box."""
        side = self.grid.block
        return sorted({(row // side, column // side) for row, column in self.reading(box_frame)})
