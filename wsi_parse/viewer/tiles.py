"""SlideTiles: the slide as square tiles for deep zoom, read as every result is read, and kept for a while as JPEG."""

import math
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.lattice import WHITE, steps_of
from wsi_parse.slides.resample import halve
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.counts import TILE_PX
from wsi_parse.viewer.kept import Kept

_QUALITY = 85
_KEPT_BYTES = 96_000_000
# The same of far tiles, which are made of others: all of a slide of 200,000 px.
_KEPT_FAR_BYTES = 160_000_000
# Far tiles of half the size, of which coarser ones are made.
_KEPT_HALVES_BYTES = 96_000_000
# Pixels of a level along the side of one pixel of a tile, up to which a tile is read at once: 2048 x 2048 of them.
_MOST_STEP = 4
_THUMBNAIL_PX = 400

# Zoom level, column and row.
_Key = tuple[int, int, int]


class SlideTiles:
    """The tiles of a slide; several threads may ask for them.

    Parameters
    ----------
    slide : Slide

    Notes
    -----
    Where the slide has no level that is near the zoom level of a tile, the tile is far: it is made of the four of the
    next finer zoom level, and far tiles are kept. So a slide without a pyramid is read once, and not again at each zoom
    level. Only means of four pixels are taken, so that a tile is the same in whatever order tiles are asked for.
    """

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        longest = max(slide.dimensions)
        #: The level at which the slide fits into one tile.
        self.max_zoom = max(0, math.ceil(math.log2(longest / TILE_PX)))
        self._near, self._far = Kept[bytes](_KEPT_BYTES, len), Kept[bytes](_KEPT_FAR_BYTES, len)
        self._halves = Kept[NDArray[np.uint8]](_KEPT_HALVES_BYTES, lambda pixels: pixels.nbytes)
        self._ended = False

    @property
    def kept_bytes(self) -> int:
        """Size of all tiles that are kept."""
        return self._near.size + self._far.size

    def is_far(self, zoom: int) -> bool:
        """Return whether the tiles of a zoom level are made of others, which may take long."""
        frame = frame_of_zoom(self.slide, zoom)
        return zoom > 0 and max(steps_of(frame, self.slide.info.levels[self.slide.level_for(frame)])) > _MOST_STEP

    def stop(self) -> None:
        """Let what takes long end soon; from now on no tile is read."""
        self._ended = True

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
        if not self._is_on_slide(zoom, column, row):
            return None
        key = (zoom, column, row)
        if not self.is_far(zoom):
            return self._near.get(key, lambda: _jpeg(self._pixels(*key)))

        def make() -> bytes:
            pixels = self._pixels(*key)
            self._halves.put(key, _halved(pixels))
            return _jpeg(pixels)

        return self._far.get(key, make)

    def thumbnail(self) -> bytes:
        """Return a small picture of the slide as JPEG."""
        width, height = (max(1, round(length / (1 << self.max_zoom))) for length in self.slide.dimensions)
        picture = Image.fromarray(self._pixels(self.max_zoom, 0, 0)[:height, :width])
        picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        return _jpeg(np.asarray(picture))

    def _pixels(self, zoom: int, column: int, row: int) -> NDArray[np.uint8]:
        """Return the pixels of a tile; white beyond the slide."""
        if self._ended:
            raise UsageError("The viewer has ended.", "Start it again.")
        if not self.is_far(zoom):
            box = Box(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)
            return self.slide.read(box, frame_of_zoom(self.slide, zoom))
        pixels, half = np.full((TILE_PX, TILE_PX, 3), WHITE, np.uint8), TILE_PX // 2
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            under = zoom - 1, 2 * column + x, 2 * row + y
            if self._is_on_slide(*under):
                pixels[y * half : (y + 1) * half, x * half : (x + 1) * half] = self._half(under)
        return pixels

    def _half(self, key: _Key) -> NDArray[np.uint8]:
        """Return a tile in half the size; of a far one, the tile is kept, too."""
        if not self.is_far(key[0]):
            return _halved(self._pixels(*key))

        def make() -> NDArray[np.uint8]:
            pixels = self._pixels(*key)
            self._far.put(key, _jpeg(pixels))
            return _halved(pixels)

        return self._halves.get(key, make)

    def _is_on_slide(self, zoom: int, column: int, row: int) -> bool:
        side = TILE_PX << zoom if 0 <= zoom <= self.max_zoom else 0
        width, height = self.slide.dimensions
        return bool(side) and 0 <= column * side < width and 0 <= row * side < height


def _halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    half = np.empty((TILE_PX // 2, TILE_PX // 2, 3), np.uint8)
    halve(pixels, half)
    return half


def frame_of_zoom(slide: Slide, zoom: int) -> Frame:
    """Return the frame of a slide whose pixels are 2**zoom level-0 pixels wide; microns may be unknown (NaN)."""
    scale = 1 << zoom
    frame = slide.level0_frame
    width, height = (max(1, length // scale) for length in slide.dimensions)
    return Frame(width, height, frame.mpp_x * scale, frame.mpp_y * scale, float(scale), float(scale))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
