"""SlideInfo with its Levels and its PixelSize, and the Reader protocol that every reader follows."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wsi_parse.cautions import Caution
from wsi_parse.errors import PluginError
from wsi_parse.geometry import Box
from wsi_parse.registry import plugin_named


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
    tile_px : (int, int)
        Width and height of the parts, counted from its corner, that are read one by one where some are damaged: of its
        stored tiles.
    """

    width: int
    height: int
    downsample_x: float
    downsample_y: float
    tile_px: tuple[int, int] = (512, 512)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def box(self) -> Box:
        """The whole level."""
        return Box(0, 0, self.width, self.height)

    @property
    def tile_count(self) -> int:
        """Number of its stored tiles."""
        return -(-self.width // self.tile_px[0]) * -(-self.height // self.tile_px[1])

    def tiles(self, box_level: Box) -> Iterator[Box]:
        """Yield the boxes of the stored tiles that a box of this level overlaps, cut at the edge of the level."""
        width, height = self.tile_px
        for row in range(box_level.y // height, -(-box_level.bottom // height)):
            for column in range(box_level.x // width, -(-box_level.right // width)):
                yield Box(column * width, row * height, width, height).intersection(self.box)

    def to_level0(self, box_level: Box) -> Box:
        """Return the smallest box in level-0 pixels that covers a box of this level."""
        return Box.from_corners(
            math.floor(box_level.x * self.downsample_x),
            math.floor(box_level.y * self.downsample_y),
            math.ceil(box_level.right * self.downsample_x),
            math.ceil(box_level.bottom * self.downsample_y),
        )


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
    stated_pixel_size : PixelSize or None
        What the file says, also where no slide can have it or the user gave another.
    notes : tuple of str
        What was decided when the file was opened: which of several images was taken.
    cautions : tuple of Caution
        What is plausible but wrong about it.
    """

    name: str
    reader: str
    vendor: str
    levels: tuple[Level, ...]
    pixel_size: PixelSize | None
    bounds_level0: Box | None
    objective_power: float | None
    fingerprint: str
    stated_pixel_size: PixelSize | None = None
    notes: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()

    @property
    def offset_in_qupath(self) -> tuple[int, int]:
        """Level-0 pixels that QuPath subtracts from coordinates: the origin of the bounds, to which it crops."""
        return (0, 0) if self.bounds_level0 is None else (self.bounds_level0.x, self.bounds_level0.y)

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
    """Reads one kind of slide: a file, or a folder that is one slide.

    A reader is made with the path; it raises SlideOpenError if it cannot read what is there. `read_level` may be called
    from several threads at once.

    Attributes
    ----------
    suffixes : tuple of str
        Endings of the names of its slides, in lower case and with the dot. A folder that a user gives is searched for
        slides with these endings.
    info : SlideInfo
    """

    suffixes: ClassVar[tuple[str, ...]]
    info: SlideInfo

    def __init__(self, path: Path) -> None: ...

    @staticmethod
    def detect(path: Path) -> bool:
        """Return whether this reader is meant for a file or folder; cheap, because every reader is asked.

        Look at the name, at the first bytes, or at what lies in the folder. See :func:`wsi_parse.slides.open_slide`
        for which reader is tried first. A folder is a slide only if a reader says so here.
        """
        ...

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
            Stored pixels in the box are damaged; a :class:`SlideLostError` if the file itself cannot be read any more.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


@runtime_checkable
class TileReader(Protocol):
    """What a reader may offer besides: its stored tiles as they were decoded, so that nothing is copied on the way."""

    def read_tile(self, level: int, tile: Box, others: int | None) -> NDArray[np.uint8]:
        """Read a stored tile.

        Parameters
        ----------
        level : int
        tile : Box
            One of the tiles of the level, see :meth:`Level.tiles`.
        others : int or None
            How many other reads will ask for the same tile soon; None if nothing is known of them.

        Returns
        -------
        uint8 array (rows, columns, 3)
            As from :meth:`Reader.read_level`; the caller does not write into it.
        """
        ...


def read_level(reader: Reader, level: int, box_level: Box) -> NDArray[np.uint8]:
    """Read pixels of one level; an unexpected error names the reader."""
    with plugin_named("reader", reader.info.reader):
        return reader.read_level(level, box_level)


def claims(path: Path, readers: Mapping[str, type[Reader]]) -> tuple[dict[str, type[Reader]], list[str]]:
    """Ask readers whether a file or folder is meant for them.

    Returns
    -------
    claiming : dict of str to reader
        Those that say so, in the same order.
    failures : list of str
        A sentence about each that failed instead of answering.
    """
    claiming, failures = {}, []
    for name, reader in readers.items():
        try:
            with plugin_named("reader", name):
                if reader.detect(path):
                    claiming[name] = reader
        except PluginError as error:
            failures.append(error.message)
        except OSError:
            # The reader that opens the path later reports why it cannot be read.
            continue
    return claiming, failures


def has_ending(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Return whether a name ends in one of `suffixes`, in any case; an ending may have several dots.

    >>> has_ending(Path("a.OME.tif"), (".ome.tif",)), has_ending(Path(".tif"), (".tif",))
    (True, False)
    """
    name = path.name.lower()
    return name.endswith(suffixes) and name not in suffixes
