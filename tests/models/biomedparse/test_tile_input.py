"""Enlarging on the device is PIL's enlarging, within a grey level."""

import numpy as np
import pytest
import torch
from PIL import Image

from wsi_parse.geometry import Box
from wsi_parse.models.biomedparse.tile_input import resized, to_device
from wsi_parse.synthetic import SyntheticSlide

CPU = torch.device("cpu")


@pytest.mark.parametrize("side", [256, 300, 512, 768, 1024, 1100])
@pytest.mark.parametrize("kind", ["noise", "tissue", "edges"])
def test_as_pil_does(side: int, kind: str) -> None:
    if kind == "noise":
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    elif kind == "tissue":
        image = SyntheticSlide(1200, 1200, seed=3).pixels(Box(0, 0, side, side))
    else:
        image = (
            np.where(np.indices((side, side)).sum(axis=0)[..., None] // 9 % 2, 255, 0)
            .astype(np.uint8)
            .repeat(3, axis=2)
        )
    expected = np.asarray(Image.fromarray(image).resize((1024, 1024), Image.Resampling.BICUBIC))
    given = resized(to_device(image[None], CPU), 1024)[0].movedim(0, 2).numpy()
    difference = np.abs(given - expected)
    assert difference.max() <= 1
    assert difference.mean() <= 0.1
    assert np.array_equal(given, given.round())


def test_native_pixels_cross_to_the_device() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    images.setflags(write=False)
    carried = to_device(images, CPU)
    assert carried.dtype == torch.uint8
    assert np.array_equal(carried.movedim(1, 3).numpy(), images)
