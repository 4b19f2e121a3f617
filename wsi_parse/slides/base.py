"""SlideInfo with its Levels and its PixelSize, and the Reader protocol that every reader follows."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Microns per level-0 pixel, and where the number comes from.

    Parameters
    ----------
    x_um, y_um : float
        Width and height of a level-0 pixel in microns.
    source : str
        "aperio.MPP", "OME-XML", "TIFF resolution", "user", …
    """

    x_um: float
    y_um: float
    source: str


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid.

    Parameters
    ----------
    width, height : int
        Size in pixels of this level.
    downsample_x, downsample_y : float
        Level-0 pixels per pixel of this level; never rounded to int.
    """

    width: int
    height: int
    downsample_x: float
    downsample_y: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def box(self) -> Box:
        """The whole level."""
        return Box(0, 0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """Facts about a slide that are known without reading its pixels; they contain no patient data.

    Parameters
    ----------
    name : str
        File name without folder.
    reader, vendor : str
        Name of the reader that opened the file, and vendor of the file's format.
    levels : tuple of Level
        Largest first.
    pixel_size : PixelSize or None
        None if the file has no pixel size.
    bounds_level0 : Box or None
        The scanned part in level-0 pixels, as OpenSlide reports it; QuPath crops to it.
    objective_power : float or None
        Magnification of the objective, such as 40; None if the file does not state it.
    fingerprint : str
        SHA-256 of the size and of parts of the content: a copy in another folder has the same fingerprint.
    """

    name: str
    reader: str
    vendor: str
    levels: tuple[Level, ...]
    pixel_size: PixelSize | None
    bounds_level0: Box | None
    objective_power: float | None
    fingerprint: str

    @property
    def width(self) -> int:
        """Level-0 width in pixels."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Level-0 height in pixels."""
        return self.levels[0].height

    def with_pixel_size(self, pixel_size: PixelSize) -> "SlideInfo":
        """Return a copy with another pixel size."""
        return replace(self, pixel_size=pixel_size)


class Reader(Protocol):
    """Reads one kind of file. `read_level` may be called from several threads at once."""

    info: SlideInfo

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        """Read pixels of one level.

        Parameters
        ----------
        level : int
            Index into ``info.levels``; 0 is the largest.
        box_level : Box
            In pixels of that level; lies inside the level.

        Returns
        -------
        uint8 array (rows, columns, 3)
            RGB; areas that were not scanned are white. A pixel has the same value in every box that contains it.

        Raises
        ------
        SlideReadError
            The stored pixels are damaged.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...
