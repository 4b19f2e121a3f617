"""read_lattice: a box of a frame, resampled from a level, in pieces that bound the memory."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.base import Level
from wsi_parse.slides.resample import apply_taps, taps

WHITE = 255
# Size of one read: it bounds the memory for every box and scale. It is small enough that the same memory is used again
# and again, because fresh pages cost more than the pixels, and as wide as a row of stored tiles that the cache holds.
_READ_WIDTH_PX, _READ_PX = 4096, 1_500_000
# A part of this size fits into a processor's cache and is resampled three times as fast as the whole at once.
_RESAMPLED_SIDE_PX = 320
# Pillow's `reduce` multiplies by a rounded 1 / area: up to this area its error is below a tenth of a grey level.
_MAX_REDUCED_AREA = 64 * 64
# A level and a frame whose scales differ by less than this share have the same scale.
SAME_SCALE = 1e-6

#: Reads a box of one level: uint8 RGB (rows, columns, 3).
ReadBox = Callable[[Box], NDArray[np.uint8]]


def read_lattice(box_frame: Box, frame: Frame, level: Level, read: ReadBox) -> NDArray[np.uint8]:
    """Read a box of a frame from a level, which `read` reads; white outside of the slide."""
    step_x, step_y = steps_of(frame, level)
    inside = box_frame.intersection(box_on_slide(frame, level))
    if step_x == step_y == 1 and inside == box_frame:
        return read(box_frame)
    out = np.empty((*box_frame.shape, 3), np.uint8)
    if not inside.area:
        out.fill(WHITE)
        return out
    _whiten_around(out, inside.relative_to(box_frame))
    width = max(1, int(_READ_WIDTH_PX / max(1.0, step_x)))
    height = max(1, int(_READ_PX / (min(width, inside.width) * max(1.0, step_x) * max(1.0, step_y))))
    for piece in _pieces(inside, width, height):
        out[piece.relative_to(box_frame).slices] = _resampled(piece, level, (step_x, step_y), read)
    return out


def box_on_slide(frame: Frame, level: Level) -> Box:
    """Return the pixels of a frame that lie on the slide, that is, with their centre; the rest is read as white."""
    step_x, step_y = steps_of(frame, level)
    return Box(0, 0, _inside(level.width, step_x), _inside(level.height, step_y))


def steps_of(frame: Frame, level: Level) -> tuple[float, float]:
    """Return how many pixels of a level a pixel of a frame has, in x and y."""
    return _step(frame.scale_x, level.downsample_x), _step(frame.scale_y, level.downsample_y)


def _step(scale: float, downsample: float) -> float:
    step = scale / downsample
    return round(step) if abs(step - round(step)) < SAME_SCALE * step else step


def _resampled(box: Box, level: Level, steps: tuple[float, float], read: ReadBox) -> NDArray[np.uint8]:
    step_x, step_y = steps
    if step_x == int(step_x) and step_y == int(step_y) and step_x * step_y <= _MAX_REDUCED_AREA:
        return _reduced(box, level, (int(step_x), int(step_y)), read)
    source = _source(box, step_x, step_y, level)
    pixels = read(source)
    out = np.empty((*box.shape, 3), np.uint8)
    side_x, side_y = (max(1, int(_RESAMPLED_SIDE_PX / max(1.0, step))) for step in steps)
    for piece in _pieces(box, side_x, side_y):
        needed = _source(piece, step_x, step_y, level).relative_to(source)
        _, columns = taps(piece.x, piece.right, step_x, level.width, 3)
        _, rows = taps(piece.y, piece.bottom, step_y, level.height)
        out[piece.relative_to(box).slices] = apply_taps(pixels[needed.slices], rows, columns)
    return out


def _reduced(box: Box, level: Level, steps: tuple[int, int], read: ReadBox) -> NDArray[np.uint8]:
    """Average rectangles of whole pixels: the same areas as by :func:`taps`, several times faster."""
    step_x, step_y = steps
    source = Box(box.x * step_x, box.y * step_y, box.width * step_x, box.height * step_y).intersection(level.box)
    pixels = read(source)
    return pixels if step_x == step_y == 1 else np.asarray(Image.fromarray(pixels).reduce((step_x, step_y)))


def _whiten_around(out: NDArray[np.uint8], inside: Box) -> None:
    """Fill all but `inside` with white."""
    rows = inside.slices[0]
    out[: inside.y].fill(WHITE)
    out[inside.bottom :].fill(WHITE)
    out[rows, : inside.x] = WHITE
    out[rows, inside.right :] = WHITE


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
