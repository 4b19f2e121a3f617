"""A box of a frame, resampled from a level, in pieces that bound the memory; by stored tiles where there are any."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.base import Level
from wsi_parse.slides.held_tiles import HeldTiles, ReadTile
from wsi_parse.slides.resample import apply_taps, halve, taps

WHITE = 255
# Size of one read: it bounds the memory for every box and scale. It is small enough that the same memory is used again
# and again, because fresh pages cost more than the pixels.
_READ_WIDTH_PX, _READ_PX = 4096, 1_500_000
# A part of this size fits into a processor's cache and is resampled three times as fast as the whole at once.
_RESAMPLED_SIDE_PX = 320
# Pillow's `reduce` multiplies by a rounded 1 / area: up to this area its error is below a tenth of a grey level.
_MAX_REDUCED_AREA = 64 * 64
# A level and a frame whose scales differ by less than this share have the same scale.
SAME_SCALE = 1e-6
_TINY = 1e-9

#: Reads a box of one level: uint8 RGB (rows, columns, 3).
ReadBox = Callable[[Box], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What boxes that will be read soon need of a box.

    Parameters
    ----------
    px : int
        How far they reach into it from each side, in frame pixels.
    left, right : bool
        Whether the box on that side is read soon; those above and below are.
    """

    px: int
    left: bool = True
    right: bool = True


def read_lattice(box_frame: Box, frame: Frame, level: Level, read: ReadBox) -> NDArray[np.uint8]:
    """Read a box of a frame from a level, which `read` reads; white outside of the slide."""
    steps = step_x, step_y = steps_of(frame, level)
    inside = box_frame.intersection(box_on_slide(frame, level))
    if step_x == step_y == 1 and inside == box_frame:
        return read(box_frame)
    out = _white_around(inside, box_frame)
    width = max(1, int(_READ_WIDTH_PX / max(1.0, step_x)))
    height = max(1, int(_READ_PX / (min(width, max(1, inside.width)) * max(1.0, step_x) * max(1.0, step_y))))
    for strip in inside.pieces(width, height):
        source = _source(strip, steps, level)
        pixels = read(source)

        def part(needed: Box, source: Box = source, pixels: NDArray[np.uint8] = pixels) -> NDArray[np.uint8]:
            return pixels[needed.relative_to(source).slices]

        side_x, side_y = (strip.width, strip.height) if _is_reduced(steps) else _resampled_sides(steps)
        for piece in strip.pieces(side_x, side_y):
            _resample(piece, level, steps, part, out[piece.relative_to(box_frame).slices])
    return out


def read_lattice_by_tile(
    box_frame: Box, frame: Frame, level: Level, read_tile: ReadTile, shared: Shared | None = None
) -> NDArray[np.uint8]:
    """Read a box of a frame from a level, as :func:`read_lattice` does, from one stored tile after the other.

    Parameters
    ----------
    box_frame : Box
    frame : Frame
    level : Level
    read_tile : callable
        See :data:`wsi_parse.slides.held_tiles.ReadTile`.
    shared : Shared, optional
        What boxes that will be read soon need of this one. A tile that no other box needs is then not kept; without it,
        nothing is known of other boxes.

    Notes
    -----
    A pixel is computed from a tile as it was decoded, as far as all of it lies in one; only where it lies across the
    border of tiles, what it needs is put together first. A tile is decoded once, but for those on the borders of
    columns of tiles that a very wide box is read in.
    """
    steps, on_slide = steps_of(frame, level), box_on_slide(frame, level)
    inside = box_frame.intersection(on_slide)
    out = _white_around(inside, box_frame)
    if not inside.area:
        return out
    alone = None if shared is None else _alone(inside, on_slide, level, steps, shared)
    held = HeldTiles(level, read_tile, alone)
    fits = all(side % step == 0 for side, step in zip(level.tile_px, steps, strict=True))
    sides = level.tile_px if fits else _resampled_sides(steps)
    across = _cut_at_tiles(inside.x, inside.right, steps[0], level.tile_px[0], sides[0])
    down = _cut_at_tiles(inside.y, inside.bottom, steps[1], level.tile_px[1], sides[1])
    for columns in _columns(across, max(1, int(_READ_WIDTH_PX / steps[0]))):
        for top, bottom in down:
            held.drop_above(_source(Box(inside.x, top, 1, bottom - top), steps, level).y)
            for left, right in columns:
                piece = Box(left, top, right - left, bottom - top)
                _resample(piece, level, steps, held.read, out[piece.relative_to(box_frame).slices])
                if fits:
                    # At once, so that the next tile is decoded into the same memory, which the processor still holds.
                    held.drop_above(level.height)
        held.drop_above(level.height)
    return out


def _alone(inside: Box, on_slide: Box, level: Level, steps: tuple[float, float], shared: Shared) -> Box:
    """Return the pixels of a level that boxes beside a box of a frame do not need; there are none beyond the slide."""
    source = _source(inside, steps, level)
    across, down = (math.ceil(shared.px * step) for step in steps)
    return Box.from_corners(
        source.x + across if shared.left and inside.x > on_slide.x else 0,
        source.y + down if inside.y > on_slide.y else 0,
        source.right - across if shared.right and inside.right < on_slide.right else level.width,
        source.bottom - down if inside.bottom < on_slide.bottom else level.height,
    )


def _cut_at_tiles(start: int, stop: int, step: float, tile: int, limit: int) -> list[tuple[int, int]]:
    """Cut frame pixels of one axis where tiles of the level end, and what is longer than `limit` again."""
    first, last = int(start * step) // tile + 1, int(stop * step) // tile
    cuts = sorted({start, stop} | {math.floor(edge * tile / step + _TINY) for edge in range(first, last + 1)})
    runs = []
    for left, right in pairwise(cut for cut in cuts if start <= cut <= stop):
        parts = -(-(right - left) // limit)
        ends = [left + (right - left) * part // parts for part in range(parts + 1)]
        runs += list(pairwise(ends))
    return runs


def _columns(runs: list[tuple[int, int]], width: int) -> list[list[tuple[int, int]]]:
    """Gather runs that lie side by side into columns of at most `width`; of a run at least."""
    columns: list[list[tuple[int, int]]] = [[]]
    for left, right in runs:
        if columns[-1] and right - columns[-1][0][0] > width:
            columns.append([])
        columns[-1].append((left, right))
    return columns


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


def _is_reduced(steps: tuple[float, float]) -> bool:
    """Whether a pixel is the mean of a rectangle of whole pixels: Pillow computes it several times faster."""
    step_x, step_y = steps
    return step_x == int(step_x) and step_y == int(step_y) and step_x * step_y <= _MAX_REDUCED_AREA


def _resampled_sides(steps: tuple[float, float]) -> tuple[int, int]:
    side_x, side_y = (max(1, int(_RESAMPLED_SIDE_PX / max(1.0, step))) for step in steps)
    return side_x, side_y


def _resample(box: Box, level: Level, steps: tuple[float, float], read: ReadBox, out: NDArray[np.uint8]) -> None:
    """Compute a box of a frame into an array of its size."""
    pixels = read(_source(box, steps, level))
    if _is_reduced(steps):
        # The same areas as by the taps.
        step_x, step_y = int(steps[0]), int(steps[1])
        if step_x == step_y == 1:
            out[...] = pixels
        elif step_x == step_y == 2 and not (pixels.shape[0] % 2 or pixels.shape[1] % 2):
            halve(pixels, out)
        else:
            out[...] = np.asarray(Image.fromarray(pixels).reduce((step_x, step_y)))
        return
    _, columns = taps(box.x, box.right, steps[0], level.width, 3)
    _, rows = taps(box.y, box.bottom, steps[1], level.height)
    apply_taps(pixels, rows, columns, out)


def _white_around(inside: Box, box_frame: Box) -> NDArray[np.uint8]:
    """Make an array for a box of a frame, which is white outside of `inside`."""
    out = np.empty((*box_frame.shape, 3), np.uint8)
    if not inside.area:
        out.fill(WHITE)
        return out
    part = inside.relative_to(box_frame)
    rows = part.slices[0]
    out[: part.y].fill(WHITE)
    out[part.bottom :].fill(WHITE)
    out[rows, : part.x] = WHITE
    out[rows, part.right :] = WHITE
    return out


def _inside(length_level: int, step: float) -> int:
    return max(1, int(np.floor(length_level / step + 0.5)))


def _source(box: Box, steps: tuple[float, float], level: Level) -> Box:
    """Return the pixels of the level from which a box of the frame is computed."""
    if _is_reduced(steps):
        step_x, step_y = int(steps[0]), int(steps[1])
        return Box(box.x * step_x, box.y * step_y, box.width * step_x, box.height * step_y).intersection(level.box)
    left, columns = taps(box.x, box.right, steps[0], level.width)
    top, rows = taps(box.y, box.bottom, steps[1], level.height)
    return Box(left, top, columns.shape[1], rows.shape[1])
