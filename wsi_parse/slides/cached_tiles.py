"""CachedTiles: a level is read in fixed tiles, so a pixel does not depend on the box; recent tiles stay in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideLostError, SlideReadError
from wsi_parse.geometry import Box

ReadTile = Callable[[Box], NDArray[np.uint8]]
# The CachedTiles object that the tile belongs to, and the tile's row and column.
Key = tuple[object, int, int]
# A block of four by four tiles of 1024 px fits in, so that the next block finds the edge that both share.
CACHE_BYTES = 48_000_000


class TileCache:
    """The most recently read tiles of all levels of a slide; several threads may use it at once.

    Parameters
    ----------
    limit_bytes : int
        Largest size of all tiles together; the last tile is kept even if it alone is larger.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> NDArray[np.uint8] | None:
        """Return a tile, or None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, pixels: NDArray[np.uint8]) -> None:
        """Keep a tile, and drop the least recently used ones."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pixels
                self.held_bytes += pixels.nbytes
            while self.held_bytes > self._limit_bytes and len(self._kept) > 1:
                self.held_bytes -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop all tiles."""
        with self._lock:
            self._kept.clear()
            self.held_bytes = 0


class CachedTiles:
    """Assembles boxes of a level from aligned tiles.

    Parameters
    ----------
    level : Box
        The whole level.
    tile : (int, int)
        Width and height of a tile.
    read : callable
        Returns the pixels (rows, columns, 3) of a tile's box, which is cut at the edge of the level.
    cache : TileCache
        The cache of the slide, shared by its levels.
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
        """Read a box that lies inside the level, as uint8 RGB (rows, columns, 3)."""
        out = np.empty((*box.shape, 3), np.uint8)
        width, height = self.tile
        for row in range(box.y // height, -(-box.bottom // height)):
            for column in range(box.x // width, -(-box.right // width)):
                tile = Box(column * width, row * height, width, height).intersection(self.level)
                common = tile.intersection(box)
                out[common.relative_to(box).slices] = self._tile_pixels(row, column, tile)[
                    common.relative_to(tile).slices
                ]
        return out

    def _tile_pixels(self, row: int, column: int, tile: Box) -> NDArray[np.uint8]:
        key = (self, row, column)
        pixels = self._cache.get(key)
        if pixels is None:
            pixels = self._read(tile)
            self.reads += 1
            self._cache.put(key, pixels)
        return pixels


def unreadable(name: str, index: int, tile: Box, downsample: tuple[float, float], reason: object) -> SlideReadError:
    """Build the error for a damaged tile; it names the slide, the level and the position in level-0 pixels."""
    return SlideReadError(
        _sentence(name, index, tile, downsample, reason),
        "The file is damaged: copy it again from its source. Or add --set slide.skip_unreadable=true: unreadable tiles "
        "are then not looked at, and are counted.",
    )


def lost(name: str, index: int, tile: Box, downsample: tuple[float, float], reason: object) -> SlideLostError:
    """Build the error for a tile of a file that cannot be read any more."""
    return SlideLostError(
        _sentence(name, index, tile, downsample, reason),
        "Check that the file is still there and that its disk or network works; then run the same command again.",
    )


def _sentence(name: str, index: int, tile: Box, downsample: tuple[float, float], reason: object) -> str:
    x_level0, y_level0 = round(tile.x * downsample[0]), round(tile.y * downsample[1])
    return f"{name}: level {index} cannot be read at x {x_level0}, y {y_level0}: {reason}."
