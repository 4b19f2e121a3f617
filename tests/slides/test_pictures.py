"""Pictures are held as a whole: once in a process, however many readers there are, and only as long as one of them."""

import gc
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsi_parse.geometry import Box
from wsi_parse.slides import Slide, SlideOptions, image_reader, open_slide

BOX = Box(0, 0, 30, 20)


@pytest.fixture(params=["picture.png", "strips.tif"])
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path / request.param, 120)
    return tmp_path / request.param


def write(path: Path, red: int) -> None:
    pixels = np.random.default_rng(red).integers(200, 255, (64, 80, 3)).astype(np.uint8)
    pixels[..., 0] = red
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=16)
    else:
        Image.fromarray(pixels).save(path)


def opened(path: Path) -> Slide:
    return open_slide(path, SlideOptions(mpp=0.5))


def held_by(slide: Slide) -> np.ndarray:
    return slide._reader.read_tile(0, BOX, None)


def test_two_readers_hold_one_picture(picture: Path) -> None:
    first = opened(picture)
    second, third = opened(picture), pickle.loads(pickle.dumps(first))
    for other in (second, third):
        assert np.shares_memory(held_by(first), held_by(other))
    first.close()
    assert second.read(BOX)[..., 0].tolist() == np.full(BOX.shape, 120).tolist()
    read = second.read(BOX)
    read[:] = 0
    assert second.read(BOX).any(), "what is read is the reader's own"


def test_another_picture_in_its_place_is_read(picture: Path) -> None:
    first = opened(picture)
    write(picture, 130)
    second = opened(picture)
    assert (first.read(BOX)[..., 0] == 120).all()
    assert (second.read(BOX)[..., 0] == 130).all()


def test_it_goes_with_its_last_reader(picture: Path) -> None:
    gc.collect()
    before = len(image_reader._held)
    slides = [opened(picture), opened(picture)]
    assert len(image_reader._held) == before + 1
    del slides
    gc.collect()
    assert len(image_reader._held) == before
