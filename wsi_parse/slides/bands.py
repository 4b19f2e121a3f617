"""How wide the bands are in which boxes of a slide are read, so that the stored tiles they share stay in memory."""

import math

from wsi_parse.geometry import Frame
from wsi_parse.slides.cached_tiles import PROMISED_BYTES
from wsi_parse.slides.lattice import Shared, steps_of
from wsi_parse.slides.slide import Slide

# Boxes that are read at the same time, each with tiles that its neighbour beside it will need.
_BOXES_AT_ONCE = 2


def boxes_across(slide: Slide, side_px: int, shared_px: int, frame: Frame) -> int:
    """Return how many boxes side by side may be read before those below them.

    Parameters
    ----------
    slide : Slide
    side_px, shared_px : int
        Side of a box, and how much of it neighbours share, in frame pixels.
    frame : Frame
    """
    level = slide.info.levels[slide.level_for(frame)]
    (step_x, step_y), (tile_x, tile_y) = steps_of(frame, level), level.tile_px
    # The shared part may lie across a border of tiles: then those on both sides are kept.
    wide = tile_x * (1 + math.ceil(shared_px * step_x / tile_x))
    high = tile_y * (1 + math.ceil(shared_px * step_y / tile_y))
    beside, below = 3 * (side_px * step_y + tile_y) * wide, 3 * (side_px - shared_px) * step_x * high
    return max(1, int((PROMISED_BYTES - _BOXES_AT_ONCE * beside) / below))


def shared_in_bands(slide: Slide, column: int, side_px: int, shared_px: int, frame: Frame) -> Shared:
    """Return what other boxes in the same band need of a box in a column; for the others see :func:`boxes_across`.

    What the next band needs is read again: until then, a whole band is read, and the tiles at its edge would take the
    place of those that are needed sooner.
    """
    across = boxes_across(slide, side_px, shared_px, frame)
    return Shared(shared_px, left=column % across > 0, right=column % across < across - 1)
