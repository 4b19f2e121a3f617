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
# Tiles of which nothing is known but that they were read.
RECENT_BYTES = 48_000_000
# Tiles that other reads will ask for: the lower edges of a row of blocks, see `boxes_across`.
PROMISED_BYTES = 128_000_000


class TileCache:
    """Tiles of all levels of a slide that may be read again; several threads may use it at once.

    Parameters
    ----------
    limit_bytes : int
        Largest size of all recently read tiles together; the last tile is kept even if it alone is larger.
    promised_bytes : int
        The same of the tiles that other reads are known to ask for; each is dropped when the last of them has.
    """

    def __init__(self, limit_bytes: int = RECENT_BYTES, promised_bytes: int = PROMISED_BYTES) -> None:
        self._recent, self._promised = _Kept(limit_bytes), _Kept(promised_bytes)
        self._left: dict[Key, int] = {}
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Size of all tiles."""
        return self._recent.bytes + self._promised.bytes

    def get(self, key: Key, others: int | None = None) -> NDArray[np.uint8] | None:
        """Return a tile, or None if it is not kept; `others` as for :meth:`put`."""
        with self._lock:
            pixels = self._promised.get(key)
            if pixels is None:
                return self._recent.get(key)
            if others is not None:
                self._left[key] -= 1
                if self._left[key] <= 0:
                    self._promised.drop(key)
                    del self._left[key]
            return pixels

    def put(self, key: Key, pixels: NDArray[np.uint8], others: int | None = None) -> None:
        """Keep a tile, and drop the least recently used ones.

        Parameters
        ----------
        key : tuple
        pixels : uint8 array
        others : int, optional
            How many other reads will ask for it; None if nothing is known of them.
        """
        with self._lock:
            if others is None:
                self._recent.put(key, pixels)
            elif others:
                self._left[key] = others
                for dropped in self._promised.put(key, pixels):
                    del self._left[dropped]

    def clear(self) -> None:
        """Drop all tiles."""
        with self._lock:
            self._recent.clear()
            self._promised.clear()
            self._left.clear()


class _Kept:
    """Tiles up to a size; the least recently used ones are dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit_bytes = limit_bytes
        self._tiles: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()

    def get(self, key: Key) -> NDArray[np.uint8] | None:
        if key in self._tiles:
            self._tiles.move_to_end(key)
        return self._tiles.get(key)

    def put(self, key: Key, pixels: NDArray[np.uint8]) -> list[Key]:
        """Keep a tile; return which ones were dropped for it."""
        if key not in self._tiles:
            self._tiles[key] = pixels
            self.bytes += pixels.nbytes
        dropped = []
        while self.bytes > self._limit_bytes and len(self._tiles) > 1:
            dropped.append(next(iter(self._tiles)))
            self.drop(dropped[-1])
        return dropped

    def drop(self, key: Key) -> None:
        self.bytes -= self._tiles.pop(key).nbytes

    def clear(self) -> None:
        self._tiles.clear()
        self.bytes = 0


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
                out[common.relative_to(box).slices] = self.read_tile(tile)[common.relative_to(tile).slices]
        return out

    def read_tile(self, tile: Box, others: int | None = None) -> NDArray[np.uint8]:
        """Return the pixels of a tile, which must not be written into; `others` as for :meth:`TileCache.put`."""
        key = (self, tile.y // self.tile[1], tile.x // self.tile[0])
        pixels = self._cache.get(key, others)
        if pixels is None:
            pixels = self._read(tile)
            pixels.flags.writeable = False
            self.reads += 1
            self._cache.put(key, pixels, others)
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
