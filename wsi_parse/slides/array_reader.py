"""ArrayReader: a numpy array as a slide with one level."""

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level, SlideInfo


class ArrayReader:
    """Reads uint8 RGB arrays (rows, columns, 3)."""

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, pixels: NDArray[np.uint8], name: str = "array", reader: str = "array", fingerprint: str | None = None
    ) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise UnsupportedSlideError(
                f"An array of type {pixels.dtype} and shape {pixels.shape} is not a slide.",
                "Give a uint8 RGB array of shape (rows, columns, 3).",
            )
        self._pixels = pixels
        level = Level(pixels.shape[1], pixels.shape[0], 1.0, 1.0)
        digest = fingerprint or hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        self.info = SlideInfo(name, reader, reader, (level,), None, None, None, digest)

    @staticmethod
    def detect(path: Path) -> bool:
        """Claim nothing: an array is not a file."""
        del path
        return False

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels; see :class:`wsi_parse.slides.base.Reader`."""
        # A copy, because the caller may write into it.
        return self._pixels[box_level.slices].copy()

    def read_tile(self, level: int, tile: Box, others: int | None) -> NDArray[np.uint8]:
        """Return a part of the array itself; see :class:`wsi_parse.slides.base.TileReader`."""
        pixels = self._pixels[tile.slices]
        pixels.flags.writeable = False
        return pixels

    def close(self) -> None:
        """Do nothing: no file is open."""
