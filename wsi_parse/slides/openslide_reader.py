"""OpenSlideReader: all formats of OpenSlide, DICOM included; its pixels are the reference."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import openslide
from numpy.typing import NDArray

from wsi_parse.errors import SlideOpenError, SlideReadError, UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level, SlideInfo
from wsi_parse.slides.cached_tiles import CachedTiles, TileCache, lost, unreadable
from wsi_parse.slides.dicom_colour import look_like_ycbcr, may_be_ycbcr, to_rgb
from wsi_parse.slides.downsample import downsample
from wsi_parse.slides.fingerprint import fingerprint
from wsi_parse.slides.pixel_size_tags import from_openslide, from_tiff_page, number_of
from wsi_parse.slides.readable import TolerantReader
from wsi_parse.slides.stored_tiles import stored_tiles
from wsi_parse.slides.tiff_colour import check_page, is_colour, same_size
from wsi_parse.slides.tiff_file import open_tiff, parsing
from wsi_parse.slides.transparency import on_white

_TILE_PX = 1024
# OpenSlide 4.0.1 reports bounds for these too; QuPath up to v0.7 (OpenSlide 4.0.0) does not crop to them.
_NO_BOUNDS = ("generic-tiff", "argos")
_STORED_TILE_VENDORS = ("aperio", "generic-tiff")
_MAX_SHIFT_PX = 1e-6
# Stored tiles that are compared with OpenSlide, and how many are tried where some are damaged.
_COMPARED, _MAX_COMPARED = 3, 12
_ORIENTATION = 274


class OpenSlideReader:
    """Reads what OpenSlide opens; levels of tiled TIFFs from their stored tiles, if those give the same pixels."""

    suffixes: ClassVar[tuple[str, ...]] = (
        *(".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu"),
        *(".scn", ".mrxs", ".svslide", ".bif", ".czi", ".dcm"),
    )

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = TileCache()
        self._files = ExitStack()
        self._is_ycbcr = False
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise SlideOpenError("OpenSlide does not know this format") from error
        except openslide.OpenSlideError as error:
            raise SlideOpenError(str(error)) from error
        try:
            self._describe(path)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def detect(path: Path) -> bool:
        """Ask OpenSlide; see :class:`wsi_parse.slides.base.Reader`."""
        return path.is_file() and openslide.OpenSlide.detect_format(path) is not None

    def _describe(self, path: Path) -> None:
        """Take what the file says, and the fastest way to each level."""
        properties = self._slide.properties
        vendor = properties.get("openslide.vendor", "unknown")
        if "<OME" in properties.get("tiff.ImageDescription", ""):
            raise SlideOpenError("OpenSlide does not read the levels and the pixel size of OME-TIFF")
        if "FLUORESCENCE" in properties.get("mirax.GENERAL.SLIDE_TYPE", ""):
            raise UnsupportedSlideError(f"{path.name} is a fluorescence slide.", "Use a bright-field slide.")
        width, height = self._slide.dimensions
        levels = tuple(
            Level(*size, downsample(width, size[0]), downsample(height, size[1]), (_TILE_PX, _TILE_PX))
            for size in self._slide.level_dimensions
        )
        self.info = SlideInfo(
            path.name,
            "openslide",
            vendor,
            levels,
            from_openslide(properties),
            None if vendor in _NO_BOUNDS else _bounds(properties),
            number_of(properties, "openslide.objective-power"),
            fingerprint(path),
        )
        self.tiles = [self._openslide_tiles(index) for index in range(len(levels))]
        if vendor == "dicom" and may_be_ycbcr(path):
            self._correct_colours()
        if vendor in _STORED_TILE_VENDORS:
            self._use_stored_tiles()

    def _correct_colours(self) -> None:
        """Convert YCbCr to RGB from now on, if the pixels look like it."""
        index = len(self.info.levels) - 1
        level = self.info.levels[index].box
        middle = Box((level.width - _TILE_PX) // 2, (level.height - _TILE_PX) // 2, _TILE_PX, _TILE_PX)
        self._is_ycbcr = look_like_ycbcr(TolerantReader(self).read_level(index, middle.intersection(level)))
        if self._is_ycbcr:
            # What was read before was not converted.
            self._cache.clear()
            note = "Its colours are stored as YCbCr, which its header does not say. They are converted to RGB."
            self.info = replace(self.info, notes=(*self.info.notes, note))

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; see :class:`wsi_parse.slides.base.Reader`."""
        return self.tiles[level].read(box_level)

    def read_tile(self, level: int, tile: Box, others: int | None) -> NDArray[np.uint8]:
        """Read a stored tile; see :class:`wsi_parse.slides.base.TileReader`."""
        return self.tiles[level].read_tile(tile, others)

    def close(self) -> None:
        """Release the file."""
        self._slide.close()
        self._files.close()

    def _openslide_tiles(self, index: int) -> CachedTiles:
        # OpenSlide takes level-0 positions and shifts by parts of a pixel if a downsample is not a whole number.
        # Tiles that never move give each pixel one value.
        level = self.info.levels[index]
        return CachedTiles(level.box, (_TILE_PX, _TILE_PX), lambda tile: self._read_tile(index, tile), self._cache)

    def _read_tile(self, index: int, tile: Box) -> NDArray[np.uint8]:
        try:
            return self._read_region(self._slide, index, tile)
        except openslide.OpenSlideError:
            # After an error a handle fails for every thread. A fresh one, unknown to the other threads, shows whether
            # this tile is damaged. The old handle closes when the last thread releases it.
            pass
        level = self.info.levels[index]
        scale = level.downsample_x, level.downsample_y
        try:
            fresh = openslide.OpenSlide(self._path)
        except (openslide.OpenSlideError, OSError) as error:
            raise lost(self.info.name, index, tile, scale, error) from error
        try:
            pixels = self._read_region(fresh, index, tile)
        except openslide.OpenSlideError as error:
            # The next read begins with a handle that works; if there is none, it says so.
            with suppress(openslide.OpenSlideError, OSError):
                self._slide = openslide.OpenSlide(self._path)
            raise unreadable(self.info.name, index, tile, scale, error) from error
        self._slide = fresh
        return pixels

    def _read_region(self, slide: openslide.OpenSlide, index: int, tile: Box) -> NDArray[np.uint8]:
        # OpenSlide divides a level-0 position by the mean downsample of both axes: this position gives the tile.
        scale = slide.level_downsamples[index]
        position = round(tile.x * scale), round(tile.y * scale)
        rgba = np.asarray(slide.read_region(position, index, (tile.width, tile.height)))
        if self._is_ycbcr:
            rgba = np.dstack([to_rgb(rgba[..., :3]), rgba[..., 3]])
        return on_white(rgba)

    def _use_stored_tiles(self) -> None:
        """Read a level from its stored tiles, which is faster, if they give the same pixels as OpenSlide.

        Raises
        ------
        UnsupportedSlideError
            The TIFF is 16-bit, grey or CMYK, which OpenSlide would show as RGB.
        """
        with ExitStack() as stack:
            file = stack.enter_context(self._path.open("rb"))
            try:
                with parsing():
                    tiff = open_tiff(self._path, file)
                    tiled = [page for page in tiff.pages if page.is_tiled]
                    # Of pages of one size, the first is OpenSlide's.
                    pages = {(page.imagewidth, page.imagelength): page for page in reversed(tiled)}
            except SlideOpenError:
                return
            if self.info.levels[0].size in pages:
                first = pages[self.info.levels[0].size]
                check_page(self.info.name, first)
                if self.info.vendor == "generic-tiff":
                    self._check_generic(first, list(tiff.pages))
            used = False
            for index, level in enumerate(self.info.levels):
                page = pages.get(level.size)
                # OpenSlide replaces a missing tile by tiles of the next larger level.
                if page is None or 0 in page.databytecounts:
                    continue
                tiles = stored_tiles(tiff, page, self.info.name, index, level, self._cache)
                if tiles is not None and self._agrees(index, tiles, page.databytecounts):
                    self.tiles[index] = tiles
                    levels = list(self.info.levels)
                    levels[index] = replace(level, tile_px=tiles.tile)
                    self.info = replace(self.info, levels=tuple(levels))
                    used = True
            if used:
                self._files = stack.pop_all()

    def _check_generic(self, first: Any, pages: Sequence[Any]) -> None:  # noqa: ANN401 - pages of tifffile
        """Refuse a plain TIFF of which OpenSlide shows another image than the slide, or not as it is stored.

        Parameters
        ----------
        first : page
            That of level 0.
        pages : sequence of pages
            All of the file.
        """
        if first.tags.valueof(_ORIENTATION, 1) != 1:
            raise SlideOpenError("OpenSlide applies the TIFF's orientation to each tile, not to the whole image")
        if any(page.imagewidth * page.imagelength > first.imagewidth * first.imagelength for page in pages):
            raise SlideOpenError("OpenSlide reads the first image, and a larger one follows")
        size = first.imagewidth, first.imagelength
        alike = sum((page.imagewidth, page.imagelength) == size and is_colour(page) for page in pages)
        if alike > 1:
            raise same_size(self.info.name, alike)
        if self.info.pixel_size is None:
            self.info = replace(self.info, pixel_size=from_tiff_page(first))

    def _agrees(self, index: int, tiles: CachedTiles, sizes: Sequence[int]) -> bool:
        """Compare the first, the last and the largest stored tile with OpenSlide, where OpenSlide does not shift.

        A tile that neither can read is damaged, and the next largest ones are compared in its place.
        """
        width, height = tiles.tile
        across = -(-tiles.level.width // width)
        scale = self._slide.level_downsamples[index]
        by_size = (np.argsort(sizes, kind="stable")[::-1][:_MAX_COMPARED] % tiles.count).tolist()
        equal = damaged = 0
        for number in dict.fromkeys((0, tiles.count - 1, *by_size)):
            tile = Box(number % across * width, number // across * height, width, height).intersection(tiles.level)
            if any(abs(round(corner * scale) / scale - corner) > _MAX_SHIFT_PX for corner in (tile.x, tile.y)):
                continue
            ours, theirs = _or_none(tiles.read, tile), _or_none(self._read_tile, index, tile)
            if ours is None and theirs is None:
                damaged += 1
            elif ours is None or theirs is None or not np.array_equal(ours, theirs):
                return False
            else:
                equal += 1
            if equal == _COMPARED:
                break
        return equal > 0 or not damaged


def _or_none(read: Callable[..., NDArray[np.uint8]], *place: Any) -> NDArray[np.uint8] | None:  # noqa: ANN401
    try:
        return read(*place)
    except SlideReadError:
        return None


def _bounds(properties: Mapping[str, str]) -> Box | None:
    names = [f"openslide.bounds-{side}" for side in ("x", "y", "width", "height")]
    if not all(name in properties for name in names):
        return None
    return Box(*(int(properties[name]) for name in names))
