"""TiffSlideReader: OME-TIFF and TIFFs that OpenSlide does not open, read from their stored tiles."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi_parse.errors import SlideOpenError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level, PixelSize, SlideInfo
from wsi_parse.slides.cached_tiles import CachedTiles, TileCache
from wsi_parse.slides.downsample import downsample
from wsi_parse.slides.fingerprint import fingerprint
from wsi_parse.slides.pixel_size import from_ome_xml, from_tiff_tags, pixel_size_of
from wsi_parse.slides.signatures import is_tiff
from wsi_parse.slides.stored_tiles import stored_tiles
from wsi_parse.slides.tiff_colour import check_series, parsing


class TiffSlideReader:
    """Reads tiled 8-bit RGB TIFFs."""

    suffixes: ClassVar[tuple[str, ...]] = (".tif", ".tiff", ".svs", ".scn", ".ndpi", ".bif")

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack, parsing():
            # We open the file ourselves, because a parser that fails leaves open what it opened.
            file = stack.enter_context(path.open("rb"))
            tiff = tifffile.TiffFile(file, name=path.name)
            series = tiff.series[0]
            check_series(path.name, series)
            pages = [level.pages[0] for level in series.levels]
            tiles, levels = _tiles(tiff, pages, path.name)
            ome = tiff.ome_metadata
            vendor, size = ("ome-tiff", from_ome_xml(ome)) if ome else _vendor_and_pixel_size(path)
            size = size or from_tiff_tags(pages[0])
            self._files = stack.pop_all()
        self.tiles = tiles
        self.info = SlideInfo(path.name, "tiffslide", vendor, levels, size, None, None, fingerprint(path))

    @staticmethod
    def detect(path: Path) -> bool:
        """Look for the first bytes of a TIFF; see :class:`wsi_parse.slides.base.Reader`."""
        return is_tiff(path)

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; see :class:`wsi_parse.slides.base.Reader`."""
        return self.tiles[level].read(box_level)

    def close(self) -> None:
        """Release the file."""
        self._files.close()


def _tiles(tiff: tifffile.TiffFile, pages: list[Any], name: str) -> tuple[list[CachedTiles], tuple[Level, ...]]:
    cache = TileCache()
    tiles, levels = [], []
    for index, page in enumerate(pages):
        width, height = page.imagewidth, page.imagelength
        across, down = downsample(pages[0].imagewidth, width), downsample(pages[0].imagelength, height)
        levels.append(Level(width, height, across, down))
        tile = stored_tiles(tiff, page, name, index, levels[-1], cache)
        if tile is None:
            raise SlideOpenError("the TIFF has no tiles of 8-bit RGB")
        tiles.append(tile)
    return tiles, tuple(levels)


def _vendor_and_pixel_size(path: Path) -> tuple[str, PixelSize | None]:
    """Read the vendor and the pixel size from the metadata that TiffSlide finds."""
    # Slow to import, and only needed for this kind of file: every reader is imported before a slide is opened.
    from tiffslide import TiffSlide

    with TiffSlide(path) as slide:
        properties = slide.properties
    vendor = str(properties.get("tiffslide.vendor", "generic-tiff"))
    if vendor == "generic-tiff":
        return vendor, None
    x_um, y_um = properties.get("tiffslide.mpp-x"), properties.get("tiffslide.mpp-y")
    return vendor, pixel_size_of(x_um, y_um, f"{vendor} metadata")
