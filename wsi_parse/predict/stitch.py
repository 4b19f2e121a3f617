"""Weighted blend of overlapping tiles, exact in any order; areas that no tile covers stay marked as not covered.

value = sum(weight * uint8) / sum(weight) in whole numbers. A weight is the product of two ramps that rise from
the edge of the tile to the end of its overlap, so a tile counts least near its edge, where it saw least of the
surroundings. Where only one tile was predicted, its value is taken unchanged. Tiles of blocks that are exactly zero are
not read: they count by their weight alone.
"""

from collections.abc import Collection
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
    filled = _filled(store, selection, channel, inside.multiplied(stride))
    area = axis.area(inside, filled)
    stored = store.read(channel, area) if filled else np.empty((0, 0), np.uint8)
    for rows in down:
        for columns in across:
            chosen = [(row, column) for row in rows.tiles for column in columns.tiles if selection.chosen[row, column]]
            if not chosen:
                continue
            target = np.s_[rows.start - box.y : rows.stop - box.y, columns.start - box.x : columns.stop - box.x]
            covered[target] = True
            parts = {
                (row, column): stored[axis.part(rows, row, area.y), axis.part(columns, column, area.x)]
                for row, column in chosen
                if (row, column) in filled
            }
            if not parts:
                continue
            if len(chosen) == 1:
                values[target] = parts[chosen[0]]
                continue
            weights = {
                (row, column): axis.weights(rows, row)[:, None] * axis.weights(columns, column)
                for row, column in chosen
            }
            total = sum(weights.values())
            weighted = (weights[index] * part for index, part in parts.items())
            values[target] = sum(weighted, total // 2) // total
    for unknown in _unknown(store, selection, inside, stride):
        part = unknown.relative_to(box).slices
        values[part], covered[part] = 0, False
    return values, covered


def _filled(store: TileStore, selection: Selection, channel: str, box_frame: Box) -> set[tuple[int, int]]:
    """Return the chosen tiles over a box that are not exactly zero, as far as the markers of their blocks say."""
    side = selection.grid.block
    blocks = {block for block in selection.blocks_under(box_frame) if not store.is_empty(channel, block)}
    return {(row, column) for row, column in selection.reading(box_frame) if (row // side, column // side) in blocks}


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

    def area(self, box: Box, tiles: Collection[tuple[int, int]]) -> Box:
        """Return the part of the store that holds what tiles (row, column) answered over a box; empty without tiles."""
        if not tiles:
            return Box(0, 0, 0, 0)
        rows, columns = zip(*tiles, strict=True)
        return Box.from_corners(
            self.stored(box.x, min(columns)),
            self.stored(box.y, min(rows)),
            self.stored(box.right, max(columns)),
            self.stored(box.bottom, max(rows)),
        )

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
