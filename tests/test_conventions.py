"""The conventions of arrays, made executable: points (x, y), arrays (rows, columns), images uint8 RGB."""

import numpy as np
import pytest

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.base import Level, PixelSize, SlideInfo
from wsi_parse.slides.slide import Slide, SlideOptions
from wsi_parse.tissue.mask import TissueMask


class TestArrays:
    """Points (x, y), arrays (rows, columns), images uint8 RGB."""

    def test_a_mask_is_rows_columns_and_a_point_x_y(self) -> None:
        frame = Frame(width=5, height=3, mpp_x=8, mpp_y=8, scale_x=16, scale_y=32)
        mask = np.zeros((3, 5), bool)
        mask[2, 4] = True
        tissue = TissueMask(mask, frame)
        inside = frame.to_level0([(4, 2), (4.99, 2.99), (3.99, 2.5), (2, 4), (5, 2), (-0.01, 0)])
        assert tissue.contains(inside).tolist() == [True, True, False, False, False, False]
        assert tissue.contains(inside, margin_um=8).tolist() == [True, True, True, False, False, False]
        assert tissue.contains(frame.to_level0([(2.5, 2.5), (2.5, 0.5)]), margin_um=16).tolist() == [True, False]
        assert not tissue.contains(np.empty((0, 2)), margin_um=8).any()
        assert tissue.touches(Box(4, 2, 1, 1), frame)
        assert not tissue.touches(Box(0, 0, 4, 3), frame)
        assert tissue.area_mm2 == pytest.approx(64e-6)

    def test_an_image_is_uint8_rgb_and_white_outside(self) -> None:
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[1, 5] = (200, 100, 50)
        slide = Slide(ArrayReader(pixels), pixels, SlideOptions())
        frame = slide.frame(0.5)
        image = slide.read(Box(x=5, y=1, width=2, height=1), frame)
        assert image.dtype == np.uint8
        assert image.tolist() == [[[200, 100, 50], [255, 255, 255]]]
        assert slide.read(frame.box, frame).shape == (4, 6, 3)


class ArrayReader:
    """The smallest reader: an array of known scale."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.info = SlideInfo(
            name="array",
            reader="array",
            vendor="none",
            levels=(Level(pixels.shape[1], pixels.shape[0], 1.0, 1.0),),
            pixel_size=PixelSize(0.5, 0.5, "user"),
            bounds_level0=None,
            objective_power=None,
            fingerprint="0",
        )

    def read_level(self, level: int, box_level: Box) -> np.ndarray:
        assert level == 0
        return self.pixels[box_level.slices]

    def close(self) -> None:
        """Hold nothing."""
