"""Stored tiles of a TIFF: each is decoded about once, which is several times faster than reading small regions."""

import threading
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level
from wsi_parse.slides.cached_tiles import CachedTiles, TileCache, lost, unreadable

_PLANES = 2
_JPEG_END = b"\xff\xd9"


def stored_tiles(
    file: tifffile.TiffFile,
    page: Any,  # noqa: ANN401 - a page of tifffile
    name: str,
    index: int,
    level: Level,
    cache: TileCache,
) -> CachedTiles | None:
    """Return a level that is read from the stored tiles of its page; None if it has no tiles of 8-bit RGB."""
    if not page.is_tiled or page.dtype != np.uint8 or page.samplesperpixel != 3 or page.tiledepth != 1:
        return None
    if not isinstance(page.compression, tifffile.COMPRESSION):
        return None
    tiles = _StoredTiles(file, page, name, index, level)
    if min(len(page.dataoffsets), len(page.databytecounts)) < tiles.count:
        return None
    return CachedTiles(level.box, (page.tilewidth, page.tilelength), tiles.read, cache)


class _StoredTiles:
    """Decodes the stored tiles of one page."""

    def __init__(self, file: tifffile.TiffFile, page: Any, name: str, index: int, level: Level) -> None:  # noqa: ANN401
        self._file, self._page = file, page
        self._name, self._index, self._level = name, index, level
        self._across = -(-level.width // page.tilewidth)
        self._tiles_per_plane = self._across * -(-level.height // page.tilelength)
        # A tile is stored either once with three colours, or three times with one colour each.
        self._planes = 3 if page.planarconfig == _PLANES else 1
        self._is_jpeg = page.compression == tifffile.COMPRESSION.JPEG
        self._lock = threading.Lock()
        # tifffile reads these from the file on first use, which must not happen between another thread's seek and read.
        self._decode, self._tables = page.decode, page.jpegtables
        self._offsets, self._sizes = page.dataoffsets, page.databytecounts

    @property
    def count(self) -> int:
        """Number of stored tiles."""
        return self._tiles_per_plane * self._planes

    def read(self, tile: Box) -> NDArray[np.uint8]:
        """Decode the tile of a box of the level; white if none is stored, because it was not scanned."""
        first = tile.y // self._page.tilelength * self._across + tile.x // self._page.tilewidth
        segments = [first + plane * self._tiles_per_plane for plane in range(self._planes)]
        if any(self._sizes[segment] == 0 for segment in segments):
            return np.full((*tile.shape, 3), 255, np.uint8)
        scale = self._level.downsample_x, self._level.downsample_y
        try:
            parts = [self._part(segment, tile) for segment in segments]
        except OSError as error:
            raise lost(self._name, self._index, tile, scale, error.strerror or error) from error
        except Exception as error:
            # A decoder raises what it likes: its own errors, and those of what it is made of.
            reason = f"its stored tile is damaged ({error})"
            raise unreadable(self._name, self._index, tile, scale, reason) from error
        return np.ascontiguousarray(parts[0]) if self._planes == 1 else np.concatenate(parts, axis=2)

    def _part(self, segment: int, tile: Box) -> NDArray[np.uint8]:
        if self._offsets[segment] >= self._file.filehandle.size:
            raise ValueError("it lies behind the end of the file")
        with self._lock:
            self._file.filehandle.seek(self._offsets[segment])
            data = self._file.filehandle.read(self._sizes[segment])
        if len(data) < self._sizes[segment]:
            raise ValueError("its end is missing")
        # The decoder silently fills a missing part with grey; OpenSlide refuses such tiles too.
        if self._is_jpeg and not data.rstrip(b"\0").endswith(_JPEG_END):
            raise ValueError("its end is missing")
        pixels = self._decode(data, segment, jpegtables=self._tables)[0]
        pixels = pixels.reshape(-1, *pixels.shape[-2:])[: tile.height, : tile.width]
        if pixels.shape != (*tile.shape, 3 // self._planes):
            raise ValueError(f"its shape is {pixels.shape}")
        return np.asarray(pixels)
