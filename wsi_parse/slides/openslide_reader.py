"""OpenSlide: all its formats, DICOM included; the reference for what a pixel is."""

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray

from wsi_parse.errors import SlideOpenError, SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level, SlideInfo
from wsi_parse.slides.checks import fingerprint
from wsi_parse.slides.level_cells import LevelCells
from wsi_parse.slides.levels import downsample
from wsi_parse.slides.pixel_size import from_openslide
from wsi_parse.slides.stored_tiles import stored_tiles

_CELL_PX = 1024
# OpenSlide 4.0.1 reports bounds for these too; QuPath up to v0.7 (OpenSlide 4.0.0) does not crop to them.
_NO_BOUNDS = ("generic-tiff", "argos")
_STORED = ("aperio", "generic-tiff")


class OpenSlideReader:
    """Reads what OpenSlide opens; levels of tiled TIFFs by their stored tiles where those are the same pixels."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise SlideOpenError("not a format of OpenSlide") from error
        except openslide.OpenSlideError as error:
            raise SlideOpenError(str(error)) from error
        properties = self._slide.properties
        vendor = properties.get("openslide.vendor", "unknown")
        if "<OME" in properties.get("tiff.ImageDescription", ""):
            self._slide.close()
            raise SlideOpenError("OME-TIFF: OpenSlide knows neither its levels nor its pixel size")
        width, height = self._slide.dimensions
        levels = tuple(
            Level(*size, downsample(width, size[0]), downsample(height, size[1]))
            for size in self._slide.level_dimensions
        )
        self.info = SlideInfo(
            path.name,
            "openslide",
            vendor,
            levels,
            from_openslide(properties),
            None if vendor in _NO_BOUNDS else _bounds(properties),
            _number(properties.get("openslide.objective-power")),
            fingerprint(path),
        )
        self._file: IO[bytes] | None = None
        self.cells = [self._own_cells(index) for index in range(len(levels))]
        if vendor in _STORED:
            self._use_stored_tiles()

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; see :class:`wsi_parse.slides.base.Reader`."""
        return self.cells[level].read(box_level)

    def close(self) -> None:
        """Release the file."""
        self._slide.close()
        if self._file is not None:
            self._file.close()

    def _own_cells(self, index: int) -> LevelCells:
        # OpenSlide takes level-0 positions and shifts by parts of a pixel where a downsample is not whole:
        # with cells that never move, a pixel has one value.
        level = self.info.levels[index]
        return LevelCells(level.box, (_CELL_PX, _CELL_PX), lambda cell: self._region(index, cell))

    def _region(self, index: int, cell: Box) -> NDArray[np.uint8]:
        # OpenSlide divides by its own mean of both axes' downsamples: this is the place that it takes for the cell.
        scale = self._slide.level_downsamples[index]
        place = round(cell.x * scale), round(cell.y * scale)
        try:
            pixels = np.asarray(self._slide.read_region(place, index, (cell.width, cell.height)))
        except openslide.OpenSlideError as error:
            # After an error an OpenSlide handle gives nothing any more.
            with self._lock:
                self._slide.close()
                self._slide = openslide.OpenSlide(self._path)
            raise SlideReadError(
                f"{self.info.name}: level {index} cannot be read at x {place[0]}, y {place[1]}: {error}",
                "The file is damaged: copy it again from its source.",
            ) from error
        return on_white(pixels)

    def _use_stored_tiles(self) -> None:
        """Take the faster way for each level whose first and middle tiles are the same pixels that way."""
        file = self._path.open("rb")
        try:
            tiff = tifffile.TiffFile(file, name=self._path.name)
        except (tifffile.TiffFileError, ValueError, AttributeError):
            file.close()
            return
        pages = {
            (page.imagewidth, page.imagelength): page
            for page in tiff.pages
            if isinstance(page, tifffile.TiffPage) and page.is_tiled
        }
        used = False
        for index, level in enumerate(self.info.levels):
            page = pages.get((level.width, level.height))
            tiles = stored_tiles(tiff, page, self.info.name) if page is not None else None
            if tiles is not None and self._agrees(index, tiles):
                self.cells[index] = tiles
                used = True
        if used:
            self._file = file
        else:
            file.close()

    def _agrees(self, index: int, tiles: LevelCells) -> bool:
        width, height = tiles.cell
        middle = (tiles.level.width // 2 // width * width, tiles.level.height // 2 // height * height)
        last = ((tiles.level.width - 1) // width * width, (tiles.level.height - 1) // height * height)
        for x, y in {(0, 0), middle, last}:
            cell = Box(x, y, width, height).intersection(tiles.level)
            with contextlib.suppress(SlideReadError):
                if not np.array_equal(tiles.read(cell), self._region(index, cell)):
                    return False
        return True


def on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay RGBA pixels, premultiplied by nobody, on white paper."""
    alpha = rgba[..., 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    share = alpha.astype(np.uint16)
    return ((rgba[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def _bounds(properties: Mapping[str, str]) -> Box | None:
    names = [f"openslide.bounds-{side}" for side in ("x", "y", "width", "height")]
    if not all(name in properties for name in names):
        return None
    return Box(*(int(properties[name]) for name in names))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
