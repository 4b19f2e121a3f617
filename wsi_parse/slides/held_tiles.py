"""HeldTiles: the stored tiles under one read of a level; each is decoded once, and handed on without a copy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level

#: Returns the pixels of a stored tile, not to be written into, from its box and the number of other reads that will ask
#: for it soon; None if nothing is known of other reads.
ReadTile = Callable[[Box, int | None], NDArray[np.uint8]]


class HeldTiles:
    """Hands out parts of stored tiles while a box of a level is read from top to bottom.

    Parameters
    ----------
    level : Level
    read_tile : callable
    alone : Box, optional
        What no other read will ask for soon; None if nothing is known of other reads.
    """

    def __init__(self, level: Level, read_tile: ReadTile, alone: Box | None) -> None:
        self._level, self._read_tile, self._alone = level, read_tile, alone
        self._held: dict[Box, NDArray[np.uint8]] = {}

    def read(self, box_level: Box) -> NDArray[np.uint8]:
        """Read a box inside the level; its tiles are held."""
        tiles = list(self._level.tiles(box_level))
        if len(tiles) == 1:
            return self._pixels(tiles[0])[box_level.relative_to(tiles[0]).slices]
        out = np.empty((*box_level.shape, 3), np.uint8)
        for tile in tiles:
            common = tile.intersection(box_level)
            out[common.relative_to(box_level).slices] = self._pixels(tile)[common.relative_to(tile).slices]
        return out

    def drop_above(self, y_level: int) -> None:
        """Let go of the tiles that end above a row."""
        self._held = {tile: pixels for tile, pixels in self._held.items() if tile.bottom > y_level}

    def _pixels(self, tile: Box) -> NDArray[np.uint8]:
        pixels = self._held.get(tile)
        if pixels is None:
            pixels = self._held[tile] = self._read_tile(tile, self._others(tile))
        return pixels

    def _others(self, tile: Box) -> int | None:
        """Of boxes in rows and columns, one more needs a tile at a border, and three more one at a corner."""
        if self._alone is None:
            return None
        beside = tile.x < self._alone.x or tile.right > self._alone.right
        below = tile.y < self._alone.y or tile.bottom > self._alone.bottom
        return (1 + beside) * (1 + below) - 1
