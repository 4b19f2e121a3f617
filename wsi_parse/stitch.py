"""Weighted blend of overlapping tiles, exact in any order; what was not looked at stays marked as such.

value = sum(weight * uint8) / sum(weight) in whole numbers. A weight is the product of two ramps that rise from
the edge of the tile to the end of its overlap, so a tile counts least where it saw least.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.store import TileStore
from wsi_parse.tiles import Selection


def blend(
    store: TileStore, selection: Selection, channel: str, box: Box
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Stitch one channel over a box.

    Parameters
    ----------
    store : TileStore
    selection : Selection
    channel : str
    box : Box
        In pixels of the channel's output lattice; may reach past the slide.

    Returns
    -------
    values : uint8 array (box.height, box.width)
        0 where nothing was looked at.
    covered : bool array of the same shape
        Where a tile answered, inside the slide.
    """
    stride, side = store.strides[channel], store.side(channel)
    grid = store.grid
    inside = box.intersection(grid.frame.coarser(stride).box)
    sums = np.zeros(box.shape, np.int32)
    weights = np.zeros(box.shape, np.int32)
    ramp = _ramp(side, grid.overlap_px // stride)
    for place in selection.reading(inside.multiplied(stride)):
        read = grid.tile(*place).read
        tile = Box(read.x // stride, read.y // stride, side, side)
        common = tile.intersection(inside)
        if not common.area:
            continue
        part = common.relative_to(tile)
        weight = ramp[part.slices[0], None] * ramp[None, part.slices[1]]
        target = common.relative_to(box).slices
        sums[target] += weight * store.read(channel, place, part)
        weights[target] += weight
    covered = weights > 0
    np.maximum(weights, 1, out=weights)
    sums += weights // 2
    sums //= weights
    return sums.astype(np.uint8), covered


@lru_cache(maxsize=8)
def _ramp(side: int, overlap: int) -> NDArray[np.int32]:
    # At most 181 * 181 * 255 * (tiles over one pixel, at most 16 at an overlap of 0.75) stays below 2**31.
    from_edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1
    top = max(1, min(overlap, side // 2))
    steps = min(top, 128)
    return (np.minimum(from_edge, top) * steps // top + 1).astype(np.int32)
