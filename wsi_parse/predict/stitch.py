"""Weighted blend of overlapping tiles, exact in any order; areas that no tile covers stay marked as not covered.

value = sum(weight * uint8) / sum(weight) in whole numbers. A weight is the product of two ramps that rise from
the edge of the tile to the end of its overlap, so a tile counts least near its edge, where it saw least of the
surroundings. Where only one tile was predicted, its value is taken unchanged.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.predict.tiles import Selection


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
        Probabilities, 0..255; 0 where no tile was predicted.
    covered : bool array of the same shape
        True where a tile was predicted, inside the slide, and the slide could be read.

    Raises
    ------
    StoreError
        The store is damaged.
    """
    values, covered = np.zeros(box.shape, np.uint8), np.zeros(box.shape, np.bool_)
    stride, grid = store.strides[channel], store.grid
    inside = box.intersection(grid.frame.coarser(stride).box)
    tiles = grid.tiles_reading(inside.multiplied(stride))
    if not selection.chosen[tiles.rows.start : tiles.rows.stop, tiles.columns.start : tiles.columns.stop].any():
        return values, covered
    axis = _Axis(store.side(channel), grid.step // stride, grid.margin // stride)
    down = axis.stretches(inside.y, inside.bottom, tiles.rows)
    across = axis.stretches(inside.x, inside.right, tiles.columns)
    area = Box.from_corners(
        axis.stored(inside.x, tiles.columns[0]),
        axis.stored(inside.y, tiles.rows[0]),
        axis.stored(inside.right, tiles.columns[-1]),
        axis.stored(inside.bottom, tiles.rows[-1]),
    )
    stored = store.read(channel, area)
    for rows in down:
        for columns in across:
            chosen = [(row, column) for row in rows.tiles for column in columns.tiles if selection.chosen[row, column]]
            if not chosen:
                continue
            target = np.s_[rows.start - box.y : rows.stop - box.y, columns.start - box.x : columns.stop - box.x]
            parts = [stored[axis.part(rows, row, area.y), axis.part(columns, column, area.x)] for row, column in chosen]
            covered[target] = True
            if len(chosen) == 1:
                values[target] = parts[0]
                continue
            weights = [axis.weights(rows, row)[:, None] * axis.weights(columns, column) for row, column in chosen]
            total = sum(weights[1:], weights[0])
            weighted = (weight * part for weight, part in zip(weights, parts, strict=True))
            values[target] = sum(weighted, total // 2) // total
    for unknown in _unknown(store, selection, inside, stride):
        part = unknown.relative_to(box).slices
        values[part], covered[part] = 0, False
    return values, covered


def _unknown(store: TileStore, selection: Selection, box: Box, stride: int) -> list[Box]:
    """Return the parts of a box of the output lattice where the slide could not be read.

    Every tile over a pixel was predicted from that pixel: whichever block is asked, the answer is the same.
    """
    found = [store.unreadable(block) for block in selection.blocks_under(box.multiplied(stride))]
    parts = (unknown.covering(stride).intersection(box) for each in found for unknown in each.unknown)
    return [part for part in dict.fromkeys(parts) if part.area]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Part of an axis of the output lattice, half-open, that is covered by the same tiles throughout."""

    start: int
    stop: int
    tiles: range


@dataclass(frozen=True, slots=True)
class _Axis:
    """How tiles lie along an axis: with overlaps on the output lattice, side by side in the store."""

    side: int
    step: int
    margin: int

    def _first(self, tile: int) -> int:
        return tile * self.step - self.margin

    def stored(self, position: int, tile: int) -> int:
        """Where a tile's value of a pixel of the output lattice is stored; clipped to that tile."""
        return tile * self.side + min(max(position - self._first(tile), 0), self.side)

    def stretches(self, start: int, stop: int, tiles: range) -> list[_Stretch]:
        """Cut an axis wherever a tile begins or ends."""
        ends = {end for tile in tiles for end in (self._first(tile), self._first(tile) + self.side)}
        cuts = sorted({start, stop} | {end for end in ends if start < end < stop})
        found = []
        for left, right in pairwise(cuts):
            over = [tile for tile in tiles if self._first(tile) <= left and right <= self._first(tile) + self.side]
            found.append(_Stretch(left, right, range(over[0], over[-1] + 1) if over else range(0)))
        return found

    def part(self, stretch: _Stretch, tile: int, origin: int) -> slice:
        """Where a tile's values of a stretch lie in an array that was read from `origin` on."""
        return slice(self.stored(stretch.start, tile) - origin, self.stored(stretch.stop, tile) - origin)

    def weights(self, stretch: _Stretch, tile: int) -> NDArray[np.int32]:
        """Weights of a tile along a stretch."""
        first = self._first(tile)
        return _ramp(self.side, self.side - self.step)[stretch.start - first : stretch.stop - first]


@lru_cache(maxsize=8)
def _ramp(side: int, overlap: int) -> NDArray[np.int32]:
    # At most 129 * 129 * 255 * (tiles over one pixel, at most 16 at an overlap of 0.75) stays below 2**31.
    from_edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1
    top = max(1, min(overlap, side // 2))
    steps = min(top, 128)
    return (np.minimum(from_edge, top) * steps // top + 1).astype(np.int32)
