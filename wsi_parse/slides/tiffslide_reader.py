"""TiffSlideReader: OME-TIFF and TIFFs that OpenSlide does not open, read from their stored tiles."""

import math
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
from wsi_parse.slides.ome import ome_cautions, ome_image_of, ome_xml_of
from wsi_parse.slides.pixel_size_tags import from_ome, from_tiff_page, pixel_size_of
from wsi_parse.slides.signatures import is_tiff
from wsi_parse.slides.stored_tiles import stored_tiles
from wsi_parse.slides.tiff_file import open_tiff, parsing
from wsi_parse.slides.tiff_series import choose_series, size_of


class TiffSlideReader:
    """Reads tiled 8-bit RGB TIFFs."""

    suffixes: ClassVar[tuple[str, ...]] = (".tif", ".tiff", ".svs", ".scn", ".ndpi", ".bif")

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack, parsing():
            file = stack.enter_context(path.open("rb"))
            tiff = open_tiff(path, file)
            series, notes = choose_series(path.name, tiff)
            pages = [level.pages[0] for level in series.levels]
            tiles, levels = _tiles(tiff, pages, path.name)
            vendor, size = _vendor_and_pixel_size(path, tiff, series)
            cautions = ome_cautions(path, tiff, size_of(series))
            self._files = stack.pop_all()
        self.tiles = tiles
        self.info = SlideInfo(
            *(path.name, "tiffslide", vendor, levels, size, None, None, fingerprint(path)),
            notes=notes,
            cautions=cautions,
        )

    @staticmethod
    def detect(path: Path) -> bool:
        """Look for the first bytes of a TIFF; see :class:`wsi_parse.slides.base.Reader`."""
        return is_tiff(path)

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; see :class:`wsi_parse.slides.base.Reader`."""
        return self.tiles[level].read(box_level)

    def read_tile(self, level: int, tile: Box, others: int | None) -> NDArray[np.uint8]:
        """Read a stored tile; see :class:`wsi_parse.slides.base.TileReader`."""
        return self.tiles[level].read_tile(tile, others)

    def close(self) -> None:
        """Release the file."""
        self._files.close()


def _tiles(tiff: tifffile.TiffFile, pages: list[Any], name: str) -> tuple[list[CachedTiles], tuple[Level, ...]]:
    cache = TileCache()
    tiles, levels = [], []
    for index, page in enumerate(pages):
        width, height = page.imagewidth, page.imagelength
        across, down = downsample(pages[0].imagewidth, width), downsample(pages[0].imagelength, height)
        if not page.is_tiled:
            raise SlideOpenError("the TIFF has no tiles of 8-bit RGB")
        levels.append(Level(width, height, across, down, (int(page.tilewidth), int(page.tilelength))))
        tile = stored_tiles(tiff, page, name, index, levels[-1], cache)
        if tile is None:
            raise SlideOpenError("the TIFF has no tiles of 8-bit RGB")
        tiles.append(tile)
    return tiles, tuple(levels)


def _vendor_and_pixel_size(
    path: Path,
    tiff: tifffile.TiffFile,
    series: Any,  # noqa: ANN401 - a series of tifffile
) -> tuple[str, PixelSize | None]:
    """Read vendor and pixel size from OME-XML, in the file or beside it, or from the metadata that TiffSlide finds."""
    tags = from_tiff_page(series.levels[0].pages[0])
    ome = ome_xml_of(path, tiff)
    if ome is not None:
        return "ome-tiff", from_ome(ome_image_of(ome, size_of(series), str(series.name), path.name)) or tags
    if series is not tiff.series[0]:
        return "generic-tiff", tags
    # Slow to import, and only needed for this kind of file: every reader is imported before a slide is opened.
    from tiffslide import TiffSlide

    with TiffSlide(path) as slide:
        properties = slide.properties
    vendor = str(properties.get("tiffslide.vendor", "generic-tiff"))
    stated = pixel_size_of(properties.get("tiffslide.mpp-x"), properties.get("tiffslide.mpp-y"), f"{vendor} metadata")
    # Where the vendor's metadata have no pixel size, TiffSlide gives that of the resolution tags.
    if vendor == "generic-tiff" or stated is None or (tags and math.isclose(stated.x_um, tags.x_um, rel_tol=1e-6)):
        return vendor, tags
    return vendor, stated
