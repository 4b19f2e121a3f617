"""Slide: an open slide, read at any scale on a fixed lattice; it is pickled as its path and options."""

import math
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import SlideLostError, SlideReadError, UsageError
from wsi_parse.geometry import Box, Frame
from wsi_parse.registry import plugin_named
from wsi_parse.slides.base import PixelSize, Reader, SlideInfo, TileReader, read_level
from wsi_parse.slides.lattice import (
    SAME_SCALE,
    WHITE,
    Shared,
    box_on_slide,
    read_lattice,
    read_lattice_by_tile,
    steps_of,
)
from wsi_parse.slides.no_pixel_size import no_pixel_size
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.readable import Readable, TolerantReader, unknown_in

# A result of more pixels, 12 GB, is a mistake.
_MAX_READ_PX = 4_000_000_000

_PATIENT_DATA = "It is left out because it may hold patient data; slide.pixel_size gives the pixel size."
# Of OpenSlide, with what to use instead.
_INSTEAD = {
    "read_region": "Use slide.read(Box(x, y, width, height)), with slide.frame(mpp=1.0) for another scale.",
    "properties": _PATIENT_DATA,
}

# Reads a box of a level, given by its index.
_ReadLevel = Callable[[int, Box], NDArray[np.uint8]]


class Slide:
    """An open slide; made by :func:`wsi_parse.open_slide`.

    Parameters
    ----------
    reader : Reader
    source : path or array
        Opened again after unpickling.
    options : SlideOptions

    Notes
    -----
    `dimensions`, `level_count`, `level_dimensions`, `level_downsamples` and `get_thumbnail` are as in OpenSlide. There
    is no way to the file's properties and label images, because they may hold patient data.

    Examples
    --------
    >>> import numpy as np
    >>> from wsi_parse import Box, SlideOptions, open_slide
    >>> picture = np.full((600, 800, 3), 240, np.uint8)
    >>> with open_slide(picture, SlideOptions(mpp=0.5)) as slide:
    ...     slide.dimensions, slide.get_thumbnail((100, 100)).size
    ...     slide.read(Box(0, 0, 64, 32)).shape  # level-0 pixels
    ...     slide.read(Box(0, 0, 64, 32), slide.frame(2.0)).shape  # 2 µm per pixel
    ((800, 600), (100, 75))
    (32, 64, 3)
    (32, 64, 3)
    """

    def __init__(self, reader: Reader, source: Path | NDArray[np.uint8], options: SlideOptions) -> None:
        self._reader = reader
        self.source = source
        self.options = options
        self.info: SlideInfo = reader.info
        # The reader is closed once, by `close` or when the slide is garbage collected: a slide that was unpickled in a
        # worker has no `with` around it.
        self._closing = weakref.finalize(self, reader.close)

    def __reduce__(self) -> Any:  # noqa: ANN401 - pickle's protocol
        from wsi_parse.slides import open_slide

        # A worker may run in another folder.
        source = self.source.absolute() if isinstance(self.source, Path) else self.source
        return open_slide, (source, self.options)

    def __repr__(self) -> str:
        return f"<Slide {self.info.name} {self.info.width}x{self.info.height} by {self.info.reader}>"

    def __enter__(self) -> "Slide":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    if not TYPE_CHECKING:  # a type checker would take any name for one of a slide

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - nothing is returned
            hint = _INSTEAD.get(name)
            raise AttributeError(f"A slide has no {name}. {hint or ''}".strip(), name=name, obj=self)

    def close(self) -> None:
        """Release the file."""
        self._closing()

    @property
    def name(self) -> str:
        """File name without folder."""
        return self.info.name

    @property
    def pixel_size(self) -> PixelSize:
        """Microns per level-0 pixel.

        Raises
        ------
        PixelSizeError
            Neither the file nor the user gave it.
        """
        if self.info.pixel_size is None:
            raise no_pixel_size(self.info)
        return self.info.pixel_size

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        return self.info.width, self.info.height

    @property
    def level_count(self) -> int:
        """Number of levels."""
        return len(self.info.levels)

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level in pixels, largest first."""
        return tuple(level.size for level in self.info.levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level; the mean of both axes, as in OpenSlide."""
        return tuple((level.downsample_x + level.downsample_y) / 2 for level in self.info.levels)

    def get_thumbnail(self, size: tuple[int, int]) -> Image.Image:
        """Return a picture of the whole slide.

        Parameters
        ----------
        size : (int, int)
            Largest width and height in pixels; the proportions of the slide are kept, and it is never enlarged.

        Returns
        -------
        PIL.Image.Image
            RGB.
        """
        if min(size) < 1:
            raise UsageError(
                f"A thumbnail of {size[0]} x {size[1]} pixels has no area.", "Give a width and a height from 1 on."
            )
        frame = self._frame_of_scale(max(1.0, self.info.width / size[0], self.info.height / size[1]))
        return Image.fromarray(self.read(frame.box, frame))

    def _frame_of_scale(self, scale: float) -> Frame:
        """Lay a lattice of `scale` level-0 pixels per pixel over the slide; its pixel size may be unknown (NaN)."""
        known = self.info.pixel_size
        x_um, y_um = (known.x_um, known.y_um) if known else (math.nan, math.nan)
        width, height = (max(1, math.floor(length / scale + SAME_SCALE)) for length in self.dimensions)
        return Frame(width, height, x_um * scale, y_um * scale, scale, scale)

    @property
    def level0_frame(self) -> Frame:
        """The frame of level 0: one pixel is one pixel of the file; microns are NaN if the pixel size is unknown."""
        return self._frame_of_scale(1.0)

    def frame(self, mpp: float) -> Frame:
        """Lay a lattice of `mpp` microns per pixel over the slide.

        Raises
        ------
        UsageError
            `mpp` is not a positive number.
        PixelSizeError
            The pixel size of the slide is unknown.
        """
        if not isinstance(mpp, Real) or not 0 < mpp < math.inf:
            raise UsageError(f"{mpp!r} is not a scale.", "Give microns per pixel, a number above 0, such as 0.5.")
        size = self.pixel_size
        return Frame.of(self.info.width, self.info.height, (size.x_um, size.y_um), mpp)

    def frame_to_fit(self, side_px: int) -> Frame:
        """Lay a lattice whose longer side has at most `side_px` pixels; never finer than level 0."""
        size = self.pixel_size
        longest_um = max(self.info.width * size.x_um, self.info.height * size.y_um)
        return self.frame(max(longest_um / side_px, size.x_um, size.y_um))

    def level_for(self, frame: Frame) -> int:
        """Return the coarsest level that is at least as fine as the frame on both axes."""
        best = 0
        for index, level in enumerate(self.info.levels):
            fine = 1 + SAME_SCALE
            if level.downsample_x <= frame.scale_x * fine and level.downsample_y <= frame.scale_y * fine:
                best = index
        return best

    def read(self, box_frame: Box, frame: Frame | None = None) -> NDArray[np.uint8]:
        """Read a box of the frame, resampled with antialiasing from the best level.

        Parameters
        ----------
        box_frame : Box
            In frame pixels; may reach past the slide on any side.
        frame : Frame, optional
            A frame of this slide; None reads level-0 pixels as they are.

        Returns
        -------
        uint8 array (box.height, box.width, 3)
            RGB; white outside the slide. ``crop(read(A), B) == read(B)`` byte for byte.

        Raises
        ------
        SlideReadError
            Stored pixels are damaged; the message names the level and the position.
        UsageError
            The slide is closed, `box_frame` is not a Box of whole numbers or is too large, or `frame` is not a Frame.
        """
        self._check_read(box_frame, frame)
        frame = self.level0_frame if frame is None else frame
        if self.options.skip_unreadable:
            return self._read_what_is_known(box_frame, frame).pixels
        return self._read_all(self.level_for(frame), box_frame, frame)

    def box_on_slide(self, frame: Frame) -> Box:
        """Return the pixels of a frame that lie on the slide; in :meth:`read`, all others are white."""
        return box_on_slide(frame, self.info.levels[self.level_for(frame)])

    def read_readable(self, box_frame: Box, frame: Frame | None = None, shared: Shared | None = None) -> Readable:
        """Read a box of the frame as :meth:`read` does; where stored tiles are damaged, say which pixels are unknown.

        A pixel that is unknown at the best level is taken from the next finer one; what is unknown at level 0 as well
        stays unknown. So each pixel of a frame has one value, whatever box is read.

        With `shared`, only stored tiles that boxes beside this one will need soon are kept in memory. It changes no
        pixel.

        Raises
        ------
        SlideLostError
            The file cannot be read any more.
        UsageError
            As in :meth:`read`.
        """
        self._check_read(box_frame, frame)
        return self._read_what_is_known(box_frame, self.level0_frame if frame is None else frame, shared)

    def _read_what_is_known(self, box_frame: Box, frame: Frame, shared: Shared | None = None) -> Readable:
        index = self.level_for(frame)
        try:
            return Readable(self._read_all(index, box_frame, frame, shared))
        except SlideLostError:
            raise
        except SlideReadError:
            pass
        tolerant = TolerantReader(self._reader)
        pixels = self._read_from(index, box_frame, frame, tolerant.read_level)
        unknown = self._unknown(tolerant, index, [box_frame], frame)
        for finer in range(index - 1, -1, -1):
            for box in unknown:
                pixels[box.relative_to(box_frame).slices] = self._read_from(finer, box, frame, tolerant.read_level)
            unknown = self._unknown(tolerant, finer, unknown, frame)
        for box in unknown:
            pixels[box.relative_to(box_frame).slices] = WHITE
        if not unknown:
            return Readable(pixels)
        damaged = tolerant.damaged_in(0)
        return Readable(pixels, tuple(unknown), tuple(damaged), tolerant.damaged[0, damaged[0]])

    def _unknown(self, tolerant: TolerantReader, index: int, boxes: Iterable[Box], frame: Frame) -> list[Box]:
        """Return which parts of boxes of a frame come from damaged tiles of a level."""
        steps, damaged = steps_of(frame, self.info.levels[index]), tolerant.damaged_in(index)
        return list(dict.fromkeys(part for box in boxes for part in unknown_in(damaged, box, *steps)))

    def _read_all(self, index: int, box_frame: Box, frame: Frame, shared: Shared | None = None) -> NDArray[np.uint8]:
        """Read a box of a frame from a level of which nothing is damaged."""
        if isinstance(self._reader, TileReader):
            level, read_tile = self.info.levels[index], partial(self._reader.read_tile, index)
            with plugin_named("reader", self.info.reader):
                return read_lattice_by_tile(box_frame, frame, level, read_tile, shared)
        return self._read_from(index, box_frame, frame, partial(read_level, self._reader))

    def _read_from(self, index: int, box_frame: Box, frame: Frame, read: _ReadLevel) -> NDArray[np.uint8]:
        return read_lattice(box_frame, frame, self.info.levels[index], partial(read, index))

    def _check_read(self, box_frame: Box, frame: Frame | None) -> None:
        if not self._closing.alive:
            raise UsageError(f"The slide {self.name} is closed.", "Open it again with wsi_parse.open_slide.")
        if not is_whole_box(box_frame):
            raise not_a_box(box_frame)
        if box_frame.area > _MAX_READ_PX:
            raise UsageError(
                f"A box of {box_frame.width:,} x {box_frame.height:,} pixels is too large to be read at once.",
                "Read smaller boxes, or read it at a coarser scale: slide.read(box, slide.frame(mpp=8.0)).",
            )
        if frame is not None and not isinstance(frame, Frame):
            raise UsageError(
                f"The scale of a read is a Frame, not {frame!r}.", "Make one: slide.frame(mpp=1.0) has 1 µm per pixel."
            )


def is_whole_box(box: object) -> bool:
    """Whether something is a Box of whole numbers."""
    return isinstance(box, Box) and all(isinstance(each, Integral) for each in (box.x, box.y, box.width, box.height))


def not_a_box(given: object) -> UsageError:
    """Build the error for something else than a Box of whole numbers: four numbers might also be two corners."""
    return UsageError(
        f"A rectangle is a Box, not {given!r}.", "Write it as wsi_parse.Box(x, y, width, height), in whole pixels."
    )
