"""Chunks cover the object lattice exactly once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.geometry import Frame
from wsi_parse.objects.chunks import ChunkGrid


@given(st.integers(1, 900), st.integers(1, 900), st.integers(32, 300), st.integers(0, 40))
def test_chunk_cores_cover_the_object_lattice_exactly_once(width: int, height: int, side: int, halo: int) -> None:
    chunks = ChunkGrid(Frame(width, height, 0.5, 0.5, 1.0, 1.0), 1, side, halo)
    seen = np.zeros((height, width), int)
    for row in range(chunks.shape[0]):
        for column in range(chunks.shape[1]):
            core = chunks.core((row, column))
            seen[core.slices] += 1
            assert chunks.window((row, column)) == core.expanded(halo)
    assert (seen == 1).all()
