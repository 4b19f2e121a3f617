"""Distances to the edge of a mask equal those of scipy's distance transforms."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.slides.opencv import without_opencv
from wsi_parse.objects.distance import chessboard_distance, taxicab_distance

_WAYS = pytest.mark.parametrize("way", ["with OpenCV", "without it"])


@_WAYS
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 150),
    limit=st.integers(1, 30) | st.integers(250, 300),
    share=st.sampled_from([0.5, 0.95, 0.999]),
    seed=st.integers(0, 999),
)
def test_equals_scipy_up_to_the_limit(way: str, rows: int, columns: int, limit: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < share
    # Without any background pixel, scipy's result is undefined.
    mask[rows // 2, columns // 2] = False
    for distance, metric in ((chessboard_distance, "chessboard"), (taxicab_distance, "taxicab")):
        known = np.minimum(ndimage.distance_transform_cdt(mask, metric), limit)
        with nullcontext() if way == "with OpenCV" else without_opencv():
            assert np.array_equal(distance(mask, limit), known)


@_WAYS
@pytest.mark.parametrize("columns", [1, 3, 64, 700])
def test_a_mask_without_background_has_the_largest_distance(way: str, columns: int) -> None:
    mask = np.ones((3, columns), np.bool_)
    with nullcontext() if way == "with OpenCV" else without_opencv():
        assert (chessboard_distance(mask, 9) == 9).all()
        assert (taxicab_distance(mask, 255) == 255).all()


@_WAYS
def test_what_is_farther_than_a_byte_holds(way: str) -> None:
    mask = np.ones((3, 700), np.bool_)
    mask[1, 0] = False
    with nullcontext() if way == "with OpenCV" else without_opencv():
        for distance in (chessboard_distance, taxicab_distance):
            for limit in (255, 256, 600):
                assert distance(mask, limit)[1].tolist() == [min(column, limit) for column in range(700)]
