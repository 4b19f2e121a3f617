"""SlideTiles: the slide as square tiles for deep zoom, read as every result is read, and kept for a while as JPEG."""

import math
import threading
from collections import OrderedDict
from io import BytesIO

from PIL import Image

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.counts import TILE_PX

_QUALITY = 85
_KEPT_BYTES = 96_000_000
_THUMBNAIL_PX = 400


class SlideTiles:
    """The tiles of a slide; several threads may ask for them.

    Parameters
    ----------
    slide : Slide
    """

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        longest = max(slide.dimensions)
        #: The level at which the slide fits into one tile.
        self.max_zoom = max(0, math.ceil(math.log2(longest / TILE_PX)))
        self._kept: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        #: Size of all tiles that are kept.
        self.kept_bytes = 0
        self._lock = threading.Lock()
        self._waiting: dict[tuple[int, int, int], threading.Lock] = {}

    def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """Return a tile as JPEG of 512 x 512 pixels, white beyond the slide; None if it lies outside.

        Parameters
        ----------
        zoom : int
            log2 of the downsample.
        column, row : int
            The tile covers level-0 pixels from (column, row) * 512 * 2**zoom on.

        Raises
        ------
        SlideLostError
            The file cannot be read any more.
        """
        side = TILE_PX << zoom if 0 <= zoom <= self.max_zoom else 0
        width, height = self.slide.dimensions
        if not side or not (0 <= column * side < width and 0 <= row * side < height):
            return None
        key = (zoom, column, row)
        with self._lock:
            waiting = self._waiting.setdefault(key, threading.Lock())
        # Two tabs that ask for the same tile read it once.
        with waiting:
            if (found := self._found(key)) is None:
                found = self._read(*key)
                self._keep(key, found)
        with self._lock:
            self._waiting.pop(key, None)
        return found

    def thumbnail(self) -> bytes:
        """Return a small picture of the slide as JPEG."""
        return _jpeg(self.slide.get_thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX)))

    def _read(self, zoom: int, column: int, row: int) -> bytes:
        box = Box(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)
        return _jpeg(Image.fromarray(self.slide.read(box, frame_of_zoom(self.slide, zoom))))

    def _found(self, key: tuple[int, int, int]) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[int, int, int], content: bytes) -> None:
        with self._lock:
            self._kept[key] = content
            self.kept_bytes += len(content)
            while self.kept_bytes > _KEPT_BYTES:
                _, dropped = self._kept.popitem(last=False)
                self.kept_bytes -= len(dropped)


def frame_of_zoom(slide: Slide, zoom: int) -> Frame:
    """Return the frame of a slide whose pixels are 2**zoom level-0 pixels wide; microns may be unknown (NaN)."""
    scale = 1 << zoom
    frame = slide.level0_frame
    width, height = (max(1, length // scale) for length in slide.dimensions)
    return Frame(width, height, frame.mpp_x * scale, frame.mpp_y * scale, float(scale), float(scale))


def _jpeg(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
