"""Fixed tiles of a level: the same pixel is read the same way whatever box asks for it; recent tiles are kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box

ReadTile = Callable[[Box], NDArray[np.uint8]]
# Who reads the tiles, row, column.
Key = tuple[object, int, int]
# A block of four by four tiles of 1024 px fits in, so that the next block finds the edge that it shares.
CACHE_BYTES = 48_000_000


class TileCache:
    """The tiles read last, of all levels of a slide; safe for threads.

    Parameters
    ----------
    limit_bytes : int
        What is kept at most; the last tile always is.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> NDArray[np.uint8] | None:
        """Return a tile, if it is still here."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, pixels: NDArray[np.uint8]) -> None:
        """Keep a tile, and forget those not asked for longest."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pixels
                self.held_bytes += pixels.nbytes
            while self.held_bytes > self._limit_bytes and len(self._kept) > 1:
                self.held_bytes -= self._kept.popitem(last=False)[1].nbytes


class CachedTiles:
    """Assembles boxes of a level from aligned tiles.

    Parameters
    ----------
    level : Box
        The whole level.
    tile : (int, int)
        Width and height of a tile.
    read : callable
        Gives the pixels (rows, columns, 3) of a tile's box, cut at the level's edge.
    cache : TileCache
        Of the slide.
    """

    def __init__(self, level: Box, tile: tuple[int, int], read: ReadTile, cache: TileCache) -> None:
        self.level = level
        self.tile = tile
        self.reads = 0
        self._read = read
        self._cache = cache

    @property
    def count(self) -> int:
        """Number of tiles of the level."""
        return -(-self.level.width // self.tile[0]) * -(-self.level.height // self.tile[1])

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Read a box inside the level."""
        out = np.empty((*box.shape, 3), np.uint8)
        width, height = self.tile
        for row in range(box.y // height, -(-box.bottom // height)):
            for column in range(box.x // width, -(-box.right // width)):
                tile = Box(column * width, row * height, width, height).intersection(self.level)
                common = tile.intersection(box)
                out[common.relative_to(box).slices] = self._get(row, column, tile)[common.relative_to(tile).slices]
        return out

    def _get(self, row: int, column: int, tile: Box) -> NDArray[np.uint8]:
        key = (self, row, column)
        pixels = self._cache.get(key)
        if pixels is None:
            pixels = self._read(tile)
            self.reads += 1
            self._cache.put(key, pixels)
        return pixels


def unreadable(name: str, index: int, tile: Box, downsample: tuple[float, float], reason: object) -> SlideReadError:
    """Build the error for a tile that cannot be read: slide, level and place in level-0 pixels."""
    x_level0, y_level0 = round(tile.x * downsample[0]), round(tile.y * downsample[1])
    return SlideReadError(
        f"{name}: level {index} cannot be read at x {x_level0}, y {y_level0}: {reason}",
        "The file is damaged: copy it again from its source.",
    )
