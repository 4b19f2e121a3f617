"""Distances to the edge of a mask equal those of scipy's distance transforms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from wsi_parse.objects.distance import chessboard_distance, taxicab_distance


@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 150),
    limit=st.integers(1, 30),
    share=st.sampled_from([0.5, 0.95, 0.999]),
    seed=st.integers(0, 999),
)
def test_equals_scipy_up_to_the_limit(rows: int, columns: int, limit: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < share
    # Without any background pixel, scipy's result is undefined.
    mask[rows // 2, columns // 2] = False
    for distance, metric in ((chessboard_distance, "chessboard"), (taxicab_distance, "taxicab")):
        known = np.minimum(ndimage.distance_transform_cdt(mask, metric), limit)
        assert np.array_equal(distance(mask, limit), known)


@pytest.mark.parametrize("columns", [1, 63, 64, 65, 128])
def test_a_mask_without_background_has_the_largest_distance(columns: int) -> None:
    mask = np.ones((3, columns), np.bool_)
    assert (chessboard_distance(mask, 9) == 9).all()
    assert (taxicab_distance(mask, 255) == 255).all()
