"""Tiles, blocks and chunks cover the frame exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.errors import SettingsError
from wsi_parse.geometry import Box, Frame
from wsi_parse.predict.tiles import Selection, TileGrid


def frame_of(width: int, height: int) -> Frame:
    return Frame(width, height, 0.5, 0.5, 1.0, 1.0)


grids = st.builds(
    lambda width, height, tile, overlap, stride, block: TileGrid.of(
        frame_of(width, height), tile * stride, overlap, stride, block
    ),
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(16, 128),
    st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75]),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 5),
)


@given(grids)
def test_cores_cover_the_frame_exactly_once(grid: TileGrid) -> None:
    seen = np.zeros(grid.frame.box.shape, int)
    for tile in grid.tiles():
        seen[tile.core.slices] += 1
        assert tile.read.contains(tile.core)
        assert (tile.read.width, tile.read.height) == (grid.tile_px, grid.tile_px)
    assert (seen == 1).all()


@given(grids, st.data())
def test_tiles_reading_a_box_are_those_whose_read_box_touches_it(grid: TileGrid, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, grid.frame.width - 1))
    y = data.draw(st.integers(0, grid.frame.height - 1))
    box = Box(
        x,
        y,
        data.draw(st.integers(1, grid.frame.width - x)),
        data.draw(st.integers(1, grid.frame.height - y)),
    )
    expected = {(tile.row, tile.column) for tile in grid.tiles() if tile.read.intersection(box).area}
    assert set(grid.tiles_reading(box)) == expected


@given(grids)
def test_blocks_partition_the_tiles(grid: TileGrid) -> None:
    rows, columns = grid.block_shape
    indices = [index for row in range(rows) for column in range(columns) for index in grid.tiles_of((row, column))]
    assert len(indices) == len(set(indices)) == grid.shape[0] * grid.shape[1]


@given(grids, st.integers(0, 2**32 - 1))
def test_blocks_under_a_box_hold_all_chosen_tiles_that_read_it(grid: TileGrid, seed: int) -> None:
    chosen = np.random.default_rng(seed).random(grid.shape) < 0.5
    selection = Selection(grid, chosen)
    box = Box(0, 0, min(60, grid.frame.width), min(60, grid.frame.height))
    under = selection.blocks_under(box)
    assert set(under) <= set(selection.blocks())
    assert set(selection.reading(box)) <= {index for block in under for index in selection.of_block(block)}
    assert sum(len(selection.of_block(block)) for block in selection.blocks()) == selection.count


def test_a_tile_that_the_stride_does_not_divide_is_refused() -> None:
    with pytest.raises(SettingsError, match="not a multiple"):
        TileGrid.of(frame_of(100, 100), 250, 0.125, 4, 2)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_tiles_and_overlaps_lie_on_the_output_lattice(stride: int) -> None:
    grid = TileGrid.of(frame_of(5000, 3000), 1024, 0.13, stride, 4)
    for tile in grid.tiles():
        assert tile.read.x % stride == tile.read.y % stride == grid.tile_px % stride == 0
