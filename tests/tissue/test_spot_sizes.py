"""Spots of known size: where they stand among the diameters, and what does not count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tests.slides.opencv import without_opencv
from wsi_parse.tissue.spot_sizes import DIAMETERS_PX, PER_OCTAVE, _labelled, halved, spot_sizes


def discs(diameter_px: float, side: int = 512, seed: int = 0) -> NDArray[np.float32]:
    """Dark discs on a lattice, each a little displaced."""
    rng = np.random.default_rng(seed)
    step = int(3 * diameter_px)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side), np.float32)
    for row in range(step // 2, side, step):
        for column in range(step // 2, side, step):
            dy, dx = rng.uniform(-0.3, 0.3, 2) * diameter_px
            image = np.maximum(image, (np.hypot(y - row - dy, x - column - dx) < diameter_px / 2).astype(np.float32))
    return np.asarray(ndimage.gaussian_filter(image, 0.7), np.float32)


def typical_px(image: NDArray[np.float32]) -> float:
    """Return the diameter of most of the spots, by their area."""
    return float(DIAMETERS_PX[np.argmax(spot_sizes(image, 0.0, 1.0)[:, 0].max(axis=0))])


class TestSize:
    @pytest.mark.parametrize("diameter_px", [6.0, 8.0, 15.0, 30.0, 45.0])
    def test_discs_stand_at_their_diameter(self, diameter_px: float) -> None:
        assert abs(np.log2(typical_px(discs(diameter_px)) / diameter_px)) <= 1.5 / PER_OCTAVE

    def test_half_of_the_size_is_one_octave_less(self) -> None:
        image = discs(24.0)
        assert np.log2(typical_px(image) / typical_px(halved(image))) == pytest.approx(1.0, abs=1 / PER_OCTAVE)

    def test_shares_are_shares_of_the_area(self) -> None:
        image = discs(16.0)
        found = spot_sizes(image, 0.0, 1.0)[:, 0].sum(axis=1).max()
        covered = float((image > 0.5).mean())
        assert 0.5 * covered < found < 1.1 * covered

    def test_contrast_beyond_the_range_does_not_matter(self) -> None:
        image = discs(16.0)
        assert np.array_equal(spot_sizes(3 * image - 1, 0.0, 1.0), spot_sizes(np.clip(3 * image - 1, 0, 1), 0.0, 1.0))


class TestWhatDoesNotCount:
    def test_lines(self) -> None:
        image = np.zeros((512, 512), np.float32)
        image[::24] = image[1::24] = image[2::24] = image[3::24] = 1
        assert spot_sizes(image, 0.0, 1.0).sum() == 0

    @pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
    def test_an_even_picture(self, value: float) -> None:
        assert spot_sizes(np.full((300, 200), value, np.float32), 0.0, 1.0).sum() == 0

    def test_a_range_without_width(self) -> None:
        assert spot_sizes(discs(16.0), 0.5, 0.5).sum() == 0

    @pytest.mark.parametrize("shape", [(1, 1), (3, 500), (39, 39)])
    def test_tiny_pictures(self, shape: tuple[int, int]) -> None:
        assert np.isfinite(spot_sizes(np.random.default_rng(0).random(shape, np.float32), 0.0, 1.0)).all()


@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 90), st.floats(0.0, 3.0), st.floats(0.2, 0.8))
def test_parts_are_numbered_by_their_first_pixels(
    seed: int, height: int, width: int, sigma: float, part: float
) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), sigma)
    mask = noise > np.quantile(noise, part)
    labels, count = _labelled(mask)
    wanted, wanted_count = ndimage.label(mask)
    assert count == wanted_count
    assert np.array_equal(labels, wanted)


def test_without_opencv_the_shares_are_the_same() -> None:
    image = discs(24.0)
    found = spot_sizes(image, 0.0, 1.0)
    with without_opencv():
        assert np.array_equal(spot_sizes(image, 0.0, 1.0), found)
