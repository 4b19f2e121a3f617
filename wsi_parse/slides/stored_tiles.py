"""Stored tiles of a TIFF, decoded one by one: each about once, several times faster than reading small regions."""

import threading
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level
from wsi_parse.slides.level_cells import CellCache, LevelCells, unreadable

_PLANES = 2


def stored_tiles(
    file: tifffile.TiffFile, page: Any, name: str, index: int, level: Level, cache: CellCache  # noqa: ANN401
) -> LevelCells | None:
    """Read a level by the stored tiles of its page; None where it has none that are 8-bit RGB."""
    if not page.is_tiled or page.dtype != np.uint8 or page.samplesperpixel != 3:
        return None
    if not isinstance(page.compression, tifffile.COMPRESSION) or page.tiledepth != 1:
        return None
    across, down = -(-level.width // page.tilewidth), -(-level.height // page.tilelength)
    # Either one tile of three colours, or three tiles of one colour each.
    planes = 3 if page.planarconfig == _PLANES else 1
    lock = threading.Lock()
    # Both read the file when first asked for: not between another thread's seek and read.
    decode, tables = page.decode, page.jpegtables
    offsets, counts = page.dataoffsets, page.databytecounts

    def read_plane(cell: Box, segment: int) -> NDArray[np.uint8] | None:
        if counts[segment] == 0:
            return None
        with lock:
            file.filehandle.seek(offsets[segment])
            data = file.filehandle.read(counts[segment])
        try:
            pixels = decode(data, segment, jpegtables=tables)[0]
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            scale = level.downsample_x, level.downsample_y
            raise unreadable(name, index, cell, scale, f"its stored tile is damaged ({error})") from error
        return None if pixels is None else pixels.reshape(-1, *pixels.shape[-2:])[: cell.height, : cell.width]

    def read(cell: Box) -> NDArray[np.uint8]:
        first = (cell.y // page.tilelength) * across + cell.x // page.tilewidth
        parts = [read_plane(cell, first + plane * across * down) for plane in range(planes)]
        whole = [part for part in parts if part is not None]
        # A tile that is not stored was not scanned.
        if len(whole) < planes:
            return np.full((*cell.shape, 3), 255, np.uint8)
        return np.ascontiguousarray(whole[0]) if planes == 1 else np.concatenate(whole, axis=2)

    return LevelCells(index, level.box, (page.tilewidth, page.tilelength), read, cache)
