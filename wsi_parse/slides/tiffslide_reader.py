"""TiffSlide: OME-TIFF, and TIFFs that OpenSlide does not open; its levels by their stored tiles."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tiffslide import TiffSlide

from wsi_parse.errors import SlideOpenError, UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Level, SlideInfo
from wsi_parse.slides.checks import fingerprint
from wsi_parse.slides.level_cells import LevelCells
from wsi_parse.slides.levels import downsample
from wsi_parse.slides.pixel_size import from_ome_xml, pixel_size_of
from wsi_parse.slides.stored_tiles import stored_tiles


class TiffSlideReader:
    """Reads tiled 8-bit RGB TIFFs."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            # A file of our own: where a parser fails, what it opened itself stays open.
            file = stack.enter_context(path.open("rb"))
            try:
                self._tiff = tifffile.TiffFile(file, name=path.name)
            except (tifffile.TiffFileError, AttributeError, ValueError) as error:
                raise SlideOpenError(f"not a TIFF that can be read ({error})") from error
            series = self._tiff.series[0]
            check_colour(path.name, series)
            cells = [stored_tiles(self._tiff, level.pages[0], path.name) for level in series.levels]
            if any(cell is None for cell in cells):
                raise SlideOpenError("a TIFF without tiles of 8-bit RGB")
            self._slide = self._opened(path)
            stack.callback(self._slide.close)
            self._stack = stack.pop_all()
        self.cells: list[LevelCells] = [cell for cell in cells if cell is not None]
        width, height = self.cells[0].level.width, self.cells[0].level.height
        levels = tuple(
            Level(*size, downsample(width, size[0]), downsample(height, size[1]))
            for size in [(cell.level.width, cell.level.height) for cell in self.cells]
        )
        ome = self._tiff.ome_metadata
        known = self._slide.properties
        tags = pixel_size_of(known.get("tiffslide.mpp-x"), known.get("tiffslide.mpp-y"), "TIFF resolution")
        size = (from_ome_xml(ome) if ome else None) or tags
        vendor = "ome-tiff" if ome else str(known.get("tiffslide.vendor", "generic-tiff"))
        self.info = SlideInfo(path.name, "tiffslide", vendor, levels, size, None, None, fingerprint(path))

    @staticmethod
    def _opened(path: Path) -> TiffSlide:
        try:
            return TiffSlide(path)
        except Exception as error:
            raise SlideOpenError(f"TiffSlide: {error}") from error

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; see :class:`wsi_parse.slides.base.Reader`."""
        return self.cells[level].read(box_level)

    def close(self) -> None:
        """Release the file."""
        self._stack.close()


def check_colour(name: str, series: Any) -> None:  # noqa: ANN401 - a series of tifffile
    """Refuse what is not one plane of 8-bit RGB.

    Raises
    ------
    UnsupportedSlideError
    """
    sizes = dict(zip(series.axes, series.shape, strict=True))
    for axis, meaning in (("Z", "focus planes"), ("T", "time points")):
        if sizes.get(axis, 1) > 1:
            raise UnsupportedSlideError(
                f"{name} has {sizes[axis]} {meaning}.", "Export one plane as 8-bit RGB, e.g. with QuPath."
            )
    if series.dtype != np.uint8:
        raise UnsupportedSlideError(
            f"{name} holds {series.dtype} pixels, not 8-bit RGB.",
            "Convert it to 8-bit RGB, e.g. with QuPath or libvips.",
        )
    if sizes.get("C", 1) > 3 or (sizes.get("C", 1) > 1 and "S" not in sizes):
        raise UnsupportedSlideError(
            f"{name} has {sizes['C']} separate channels: fluorescence, or not H&E.",
            "Only bright-field RGB is processed.",
        )
