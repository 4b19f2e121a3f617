"""Whether any chosen tile lies under a stretch: found at once for all stretches, as one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.geometry import Box, Frame
from wsi_parse.predict.tiles import Selection, TileGrid


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_all_stretches_at_once(width: int, height: int, overlap: int, seed: int, side: int) -> None:
    grid = TileGrid.of(Frame(width, height, 0.5, 0.5, 2.0, 2.0), 64, overlap / 4, 2, 4)
    rng = np.random.default_rng(seed)
    selection = Selection(grid, rng.random(grid.shape) < 0.2)
    down = [(top, top + side) for top in range(-side, height + side, side)]
    across = [(left, left + side) for left in range(-side, width + side, side)]
    found = selection.any_reading(down, across)
    for row, (top, bottom) in enumerate(down):
        for column, (left, right) in enumerate(across):
            assert found[row, column] == bool(selection.reading(Box.from_corners(left, top, right, bottom)))
