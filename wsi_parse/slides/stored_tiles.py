"""Stored tiles of a TIFF, decoded one by one: each about once, several times faster than reading small regions."""

import threading
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides.level_cells import LevelCells


def stored_tiles(file: tifffile.TiffFile, page: Any, name: str) -> LevelCells | None:  # noqa: ANN401 - a TIFF page
    """Read a page by its stored tiles; None where it has none that are 8-bit RGB."""
    if not page.is_tiled or page.dtype != np.uint8 or page.samplesperpixel != 3 or page.planarconfig != 1:
        return None
    if not isinstance(page.compression, tifffile.COMPRESSION):
        return None
    level = Box(0, 0, page.imagewidth, page.imagelength)
    across = -(-level.width // page.tilewidth)
    lock = threading.Lock()
    # Both read the file when first asked for: not between another thread's seek and read.
    decode, tables = page.decode, page.jpegtables

    def read(cell: Box) -> NDArray[np.uint8]:
        index = (cell.y // page.tilelength) * across + cell.x // page.tilewidth
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if count == 0:
            return np.full((*cell.shape, 3), 255, np.uint8)
        with lock:
            file.filehandle.seek(offset)
            data = file.filehandle.read(count)
        try:
            pixels = decode(data, index, jpegtables=tables)[0]
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            raise SlideReadError(
                f"{name}: the stored tile at x {cell.x}, y {cell.y} (level of {level.width} px) is damaged: {error}",
                "The file is damaged: copy it again from its source.",
            ) from error
        if pixels is None:
            return np.full((*cell.shape, 3), 255, np.uint8)
        return np.ascontiguousarray(pixels.reshape(-1, *pixels.shape[-2:])[: cell.height, : cell.width])

    return LevelCells(level, (page.tilewidth, page.tilelength), read)
