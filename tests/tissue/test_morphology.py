"""Morphology of masks: what scikit-image answers, without importing it."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import morphology as known

from tests.slides.opencv import without_opencv
from wsi_parse.tissue.morphology import dilated, disk, without_small_parts

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS, st.integers(0, 12))
def test_small_parts_and_small_holes(mask: np.ndarray, max_px: int) -> None:
    assert (without_small_parts(mask, max_px) == known.remove_small_objects(mask, max_size=max_px)).all()
    assert (~without_small_parts(~mask, max_px) == known.remove_small_holes(mask, max_size=max_px)).all()


@pytest.mark.parametrize("way", ["with OpenCV", "without it"])
@given(MASKS, st.floats(0, 8) | st.integers(0, 200).map(math.sqrt))
def test_dilation(way: str, mask: np.ndarray, radius_px: float) -> None:
    expected = known.isotropic_dilation(mask, radius_px) if mask.any() else mask
    with nullcontext() if way == "with OpenCV" else without_opencv():
        assert (dilated(mask, radius_px) == expected).all()


@pytest.mark.parametrize("radius_px", [0.0, 1.5, 15.0, 50.0, math.sqrt(2), 400.0])
def test_dilation_of_a_large_mask(radius_px: float) -> None:
    mask = np.zeros((700, 3000), bool)
    mask[np.random.default_rng(0).integers(0, 700, 40), np.random.default_rng(1).integers(0, 3000, 40)] = True
    with without_opencv():
        expected = dilated(mask, radius_px)
    assert (dilated(mask, radius_px) == expected).all()


@pytest.mark.parametrize("radius_px", [1, 2, 3, 7, 20])
def test_a_disk(radius_px: int) -> None:
    assert (disk(radius_px) == known.disk(radius_px)).all()
