"""Unreadable: the places of a slide that a model could not look at, because stored tiles are damaged."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import shapely

from wsi_parse.geometry import Box, Frame


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What could not be looked at.

    Parameters
    ----------
    unknown : tuple of Box
        Where no pixel is known, in pixels of the frame that tiles are read on.
    tiles_level0 : tuple of Box
        The damaged stored tiles, in level-0 pixels.
    """

    unknown: tuple[Box, ...] = ()
    tiles_level0: tuple[Box, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.unknown)


def inside(boxes_level0: Iterable[Box], roi: Any) -> list[Box]:  # noqa: ANN401 - a shapely geometry or None
    """Return the boxes that meet a region of interest; all of them if there is none."""
    if roi is None:
        return list(boxes_level0)
    return [box for box in boxes_level0 if roi.intersects(shapely.box(box.x, box.y, box.right, box.bottom))]


def is_needed(unreadable: Unreadable, frame: Frame, roi: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether what could not be read lies in the region of interest (level-0 pixels); without one, always."""
    if roi is None:
        return bool(unreadable)
    corners = (frame.to_level0([(box.x, box.y), (box.right, box.bottom)]).ravel() for box in unreadable.unknown)
    return any(roi.intersects(shapely.box(*ends.tolist())) for ends in corners)


def tiles_of(found: Iterable[Unreadable]) -> tuple[Box, ...]:
    """Return each damaged stored tile once, from top to bottom."""
    tiles = {tile for each in found for tile in each.tiles_level0}
    return tuple(sorted(tiles, key=lambda tile: (tile.y, tile.x)))
