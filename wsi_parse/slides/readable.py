"""What can be read where stored tiles are damaged: pixels, and the places that are not known."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideLostError, SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides.base import Reader, read_level
from wsi_parse.slides.lattice import WHITE
from wsi_parse.slides.resample import touched


@dataclass(frozen=True, slots=True)
class Readable:
    """Pixels of a box of a frame, of which some may be unknown.

    Parameters
    ----------
    pixels : uint8 array (rows, columns, 3)
        RGB; white where nothing is known.
    unknown : tuple of Box
        Where nothing is known, in pixels of the frame; they may overlap.
    tiles_level0 : tuple of Box
        The stored tiles of level 0 that cannot be read there, in level-0 pixels.
    error : SlideReadError or None
        Why the first of them cannot be read.
    """

    pixels: NDArray[np.uint8]
    unknown: tuple[Box, ...] = ()
    tiles_level0: tuple[Box, ...] = ()
    error: SlideReadError | None = None

    def known(self, box_frame: Box) -> NDArray[np.bool_]:
        """Return which pixels are known; `box_frame` is the box that was read."""
        mask = np.ones(box_frame.shape, np.bool_)
        for box in self.unknown:
            mask[box.intersection(box_frame).relative_to(box_frame).slices] = False
        return mask


class TolerantReader:
    """Reads levels tile by tile where some are damaged, and collects the damaged ones.

    Parameters
    ----------
    reader : Reader
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.damaged: dict[tuple[int, Box], SlideReadError] = {}

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level; damaged tiles are white."""
        try:
            return read_level(self._reader, level, box_level)
        except SlideLostError:
            raise
        except SlideReadError:
            pass
        out = np.full((*box_level.shape, 3), WHITE, np.uint8)
        for tile in self._reader.info.levels[level].tiles(box_level):
            part = tile.intersection(box_level)
            try:
                out[part.relative_to(box_level).slices] = read_level(self._reader, level, part)
            except SlideLostError:
                raise
            except SlideReadError as error:
                self.damaged[level, tile] = error
        return out

    def damaged_in(self, level: int) -> list[Box]:
        """Return the damaged tiles of a level that were met, in order."""
        return sorted(tile for of_level, tile in self.damaged if of_level == level)


def unknown_in(damaged: Iterable[Box], box_frame: Box, step_x: float, step_y: float) -> list[Box]:
    """Return where pixels of a frame are computed from damaged tiles of a level, within a box.

    Parameters
    ----------
    damaged : boxes
        In pixels of the level.
    box_frame : Box
    step_x, step_y : float
        Level pixels per frame pixel.
    """
    found = []
    for tile in damaged:
        left, right = touched(tile.x, tile.right, step_x)
        top, bottom = touched(tile.y, tile.bottom, step_y)
        found.append(Box.from_corners(left, top, right, bottom).intersection(box_frame))
    return [box for box in found if box.area]
