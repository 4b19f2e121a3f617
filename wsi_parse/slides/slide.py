"""Slide: an open slide, read at any scale on a fixed lattice; it is pickled as its path and options."""

import math
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.errors import PixelSizeError, UsageError
from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.base import Level, PixelSize, Reader, SlideInfo, read_level
from wsi_parse.slides.resample import apply_taps, taps

WHITE = 255
# Size of one read: it bounds the memory for every box and scale. It is small enough that the same memory is used again
# and again, because fresh pages cost more than the pixels, and as wide as a row of stored tiles that the cache holds.
_READ_WIDTH_PX, _READ_PX = 4096, 1_500_000
# A part of this size fits into a processor's cache and is resampled three times as fast as the whole at once.
_RESAMPLED_SIDE_PX = 320
# Pillow's `reduce` multiplies by a rounded 1 / area: up to this area its error is below a tenth of a grey level.
_MAX_REDUCED_AREA = 64 * 64


_PATIENT_DATA = "It is left out because it may hold patient data; slide.pixel_size gives the pixel size."
# Of OpenSlide, with what to use instead.
_INSTEAD = {
    "read_region": "Use slide.read(Box(x, y, width, height)), with slide.frame(mpp=1.0) for another scale.",
    "properties": _PATIENT_DATA,
}


@dataclass(frozen=True)
class SlideOptions:
    """How to open a slide.

    Parameters
    ----------
    mpp : float or None
        Microns per level-0 pixel, for a file that has no pixel size.
    override_mpp : bool
        Use `mpp` even if the file has another pixel size.
    reader : str or None
        Name of the reader to use; None tries all.

    Examples
    --------
    >>> SlideOptions(mpp=0.25)
    SlideOptions(mpp=0.25, override_mpp=False, reader=None)
    """

    mpp: float | None = None
    override_mpp: bool = False
    reader: str | None = None


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
            raise PixelSizeError(
                f"{self.name} has no pixel size (µm per pixel).",
                "Give it with --mpp (in Python: SlideOptions(mpp=0.25)); usual values are 0.25 (40x) and 0.5 (20x). "
                "A lymphocyte's nucleus is about 7 µm wide.",
            )
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
        width, height = (max(1, math.floor(length / scale + _SAME_SCALE)) for length in self.dimensions)
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
            fine = 1 + _SAME_SCALE
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
            `box_frame` is not a Box of whole numbers, or `frame` is not a Frame.
        """
        if not is_whole_box(box_frame):
            raise not_a_box(box_frame)
        if frame is not None and not isinstance(frame, Frame):
            raise UsageError(
                f"The scale of a read is a Frame, not {frame!r}.", "Make one: slide.frame(mpp=1.0) has 1 µm per pixel."
            )
        frame = self.level0_frame if frame is None else frame
        level_index = self.level_for(frame)
        level = self.info.levels[level_index]
        step_x, step_y = _step(frame.scale_x, level.downsample_x), _step(frame.scale_y, level.downsample_y)
        # A frame pixel is inside the slide if its centre is.
        inside = box_frame.intersection(Box(0, 0, _inside(level.width, step_x), _inside(level.height, step_y)))
        if step_x == step_y == 1 and inside == box_frame:
            return read_level(self._reader, level_index, box_frame)
        out = np.empty((*box_frame.shape, 3), np.uint8)
        if not inside.area:
            out.fill(WHITE)
            return out
        _whiten_around(out, inside.relative_to(box_frame))
        width = max(1, int(_READ_WIDTH_PX / max(1.0, step_x)))
        height = max(1, int(_READ_PX / (min(width, inside.width) * max(1.0, step_x) * max(1.0, step_y))))
        for piece in _pieces(inside, width, height):
            out[piece.relative_to(box_frame).slices] = self._resampled(piece, level_index, step_x, step_y)
        return out

    def _resampled(self, box: Box, level_index: int, step_x: float, step_y: float) -> NDArray[np.uint8]:
        level = self.info.levels[level_index]
        if step_x == int(step_x) and step_y == int(step_y) and step_x * step_y <= _MAX_REDUCED_AREA:
            return self._reduced(box, level_index, int(step_x), int(step_y))
        source = _source(box, step_x, step_y, level)
        pixels = read_level(self._reader, level_index, source)
        out = np.empty((*box.shape, 3), np.uint8)
        side_x, side_y = (max(1, int(_RESAMPLED_SIDE_PX / max(1.0, step))) for step in (step_x, step_y))
        for piece in _pieces(box, side_x, side_y):
            needed = _source(piece, step_x, step_y, level).relative_to(source)
            _, columns = taps(piece.x, piece.right, step_x, level.width, 3)
            _, rows = taps(piece.y, piece.bottom, step_y, level.height)
            out[piece.relative_to(box).slices] = apply_taps(pixels[needed.slices], rows, columns)
        return out

    def _reduced(self, box: Box, level_index: int, step_x: int, step_y: int) -> NDArray[np.uint8]:
        """Average rectangles of whole pixels: the same areas as by :func:`taps`, several times faster."""
        level = self.info.levels[level_index]
        source = Box(box.x * step_x, box.y * step_y, box.width * step_x, box.height * step_y).intersection(level.box)
        pixels = read_level(self._reader, level_index, source)
        return pixels if step_x == step_y == 1 else np.asarray(Image.fromarray(pixels).reduce((step_x, step_y)))


def is_whole_box(box: object) -> bool:
    """Whether something is a Box of whole numbers."""
    return isinstance(box, Box) and all(isinstance(each, Integral) for each in (box.x, box.y, box.width, box.height))


def not_a_box(given: object) -> UsageError:
    """Build the error for something else than a Box of whole numbers: four numbers might also be two corners."""
    return UsageError(
        f"A rectangle is a Box, not {given!r}.", "Write it as wsi_parse.Box(x, y, width, height), in whole pixels."
    )


# A level and a frame whose scales differ by less than this share have the same scale.
_SAME_SCALE = 1e-6


def _whiten_around(out: NDArray[np.uint8], inside: Box) -> None:
    """Fill all but `inside` with white."""
    rows = inside.slices[0]
    out[: inside.y].fill(WHITE)
    out[inside.bottom :].fill(WHITE)
    out[rows, : inside.x] = WHITE
    out[rows, inside.right :] = WHITE


def _step(scale: float, downsample: float) -> float:
    step = scale / downsample
    return round(step) if abs(step - round(step)) < _SAME_SCALE * step else step


def _inside(length_level: int, step: float) -> int:
    return max(1, int(np.floor(length_level / step + 0.5)))


def _pieces(box: Box, width: int, height: int) -> Iterator[Box]:
    """Cut a box, column after column, each from top to bottom."""
    for x in range(box.x, box.right, width):
        yield from Box(x, box.y, min(width, box.right - x), box.height).strips(height)


def _source(box: Box, step_x: float, step_y: float, level: Level) -> Box:
    """Return the pixels of the level from which a box of the frame is computed."""
    left, columns = taps(box.x, box.right, step_x, level.width)
    top, rows = taps(box.y, box.bottom, step_y, level.height)
    return Box(left, top, columns.shape[1], rows.shape[1])
