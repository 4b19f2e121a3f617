"""Reading is resampling on a fixed lattice, at every scale."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.slides.opencv import without_opencv
from wsi_parse.geometry import Box
from wsi_parse.slides import Level, PixelSize, Slide, SlideInfo, SlideOptions, open_slide
from wsi_parse.slides.resample import UNIT, apply_taps, halve, taps


@settings(max_examples=40, deadline=None)
@given(
    mpp=st.tuples(st.floats(0.2, 1.0), st.floats(0.2, 1.0)),
    read_mpp=st.floats(0.15, 3.0),
    corner=st.tuples(st.integers(-20, 250), st.integers(-20, 250)),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
)
def test_the_lattice_holds_for_every_scale_and_anisotropy(
    mpp: tuple[float, float], read_mpp: float, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    from tests.one_pass import ArrayReader

    pixels = np.random.default_rng(1).integers(0, 256, (211, 307, 3), dtype=np.uint8)
    slide = Slide(ArrayReader(pixels, mpp), pixels, SlideOptions())
    frame = slide.frame(read_mpp)
    around = Box(corner[0] - 13, corner[1] - 7, size[0] + 31, size[1] + 22)
    part = Box(*corner, *size)
    assert np.array_equal(slide.read(around, frame)[part.relative_to(around).slices], slide.read(part, frame))


@pytest.mark.parametrize("factor", [2.0, 3.0, 2.5, 1.37, 0.5])
def test_a_constant_slide_stays_constant_at_every_scale(factor: float) -> None:
    slide = open_slide(np.full((300, 200, 3), 137, np.uint8), SlideOptions(mpp=0.5))
    frame = slide.frame(0.5 * factor)
    inner = slide.read(Box(0, 0, int(200 / factor), int(300 / factor)), frame)
    assert (inner == 137).all()


def test_shrinking_by_two_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(60, 256, (100, 100, 3), dtype=np.uint8)
    slide = open_slide(pixels, SlideOptions(mpp=0.25))
    half = slide.read(Box(0, 0, 50, 50), slide.frame(0.5)).astype(float)
    mean = pixels.reshape(50, 2, 50, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - mean).max() <= 1.0


@pytest.mark.parametrize("way", ["with OpenCV", "without it"])
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 70)), left=st.integers(0, 3), seed=st.integers(0, 99))
def test_squares_of_four_are_averaged_as_pillow_does(way: str, size: tuple[int, int], left: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2 * size[0], 2 * size[1] + 3, 3), dtype=np.uint8)
    part = pixels[:, left : left + 2 * size[1]]
    around = np.zeros((size[0] + 2, size[1] + 5, 3), np.uint8)
    with nullcontext() if way == "with OpenCV" else without_opencv():
        halve(part, around[1:-1, 3:-2])
    assert np.array_equal(around[1:-1, 3:-2], np.asarray(Image.fromarray(part).reduce(2)))
    around[1:-1, 3:-2] = 0
    assert not around.any()


@pytest.mark.parametrize("shape", [(1024, 1024), (600, 30_000), (2, 140_000), (3000, 2)])
def test_large_pictures_are_averaged_alike_in_both_ways(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    fast, slow = np.empty((2, shape[0] // 2, shape[1] // 2, 3), np.uint8)
    halve(pixels, fast)
    with without_opencv():
        halve(pixels, slow)
    assert np.array_equal(fast, slow)


@given(step=st.floats(0.3, 9.0), start=st.integers(0, 50), seed=st.integers(0, 99))
def test_parts_of_pixels_are_averaged_alike_in_both_ways(step: float, start: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (_, columns), (_, rows) = taps(start, start + 9, step, 10**6, 3), taps(start + 5, start + 12, step, 10**6)
    pixels = rng.integers(0, 256, (rows.shape[1], columns.shape[1] // 3, 3), dtype=np.uint8)
    # Of two grey levels that are one apart, many averages lie near a half.
    pixels[:, ::2] = rng.integers(100, 102, pixels[:, ::2].shape)
    around = np.zeros((9, 12, 3), np.uint8)
    apply_taps(pixels, rows, columns, around[1:8, 2:11])
    with without_opencv():
        expected = np.empty((7, 9, 3), np.uint8)
        apply_taps(pixels, rows, columns, expected)
    assert np.array_equal(around[1:8, 2:11], expected)
    around[1:8, 2:11] = 0
    assert not around.any()


@pytest.mark.parametrize("factor", [181.3, 300.5, 64.0, 1000.0])
def test_a_constant_slide_stays_constant_however_coarse(factor: float) -> None:
    slide = open_slide(np.full((1100, 2100, 3), 137, np.uint8), SlideOptions(mpp=0.5))
    frame = slide.frame(0.5 * factor)
    inner = slide.read(Box(0, 0, int(2100 / factor), int(1100 / factor)), frame)
    assert inner.size
    assert (inner == 137).all()


@given(start=st.integers(0, 200), count=st.integers(1, 40), step=st.floats(0.05, 400.0))
def test_weights_are_positive_and_sum_to_one(start: int, count: int, step: float) -> None:
    first, weights = taps(start, start + count, step, 10**6)
    assert first >= 0
    assert weights.data.min() > 0
    assert (weights.sum(axis=1) == UNIT).all()


@given(step=st.floats(1.0, 20.0), pixel=st.integers(0, 1000))
def test_the_weights_of_a_pixel_lie_around_its_centre(step: float, pixel: int) -> None:
    first, weights = taps(pixel, pixel + 1, step, 10**6)
    centres = first + 0.5 + np.arange(weights.shape[1])
    assert (weights @ centres)[0] / UNIT == pytest.approx((pixel + 0.5) * step, abs=0.13)


class _Watched:
    """A wide slide of one level that remembers the largest box that was read from it."""

    def __init__(self, width: int, height: int) -> None:
        level = Level(width, height, 1.0, 1.0)
        self.info = SlideInfo("wide", "none", "none", (level,), PixelSize(0.25, 0.25, "test"), None, None, "")
        self.most = 0

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        assert self.info.levels[level].box.contains(box_level)
        self.most = max(self.most, box_level.area)
        return np.full((*box_level.shape, 3), 137, np.uint8)

    def close(self) -> None:
        """Do nothing: no file is open."""


@pytest.mark.parametrize("factor", [4.0, 37.3, 700.0])
def test_the_size_of_one_read_is_bounded_for_every_slide(factor: float) -> None:
    reader = _Watched(60_000, 1500)
    slide = Slide(reader, Path("wide"), SlideOptions())
    frame = slide.frame(0.25 * factor)
    assert (slide.read(frame.box, frame)[0, :-1] == 137).all()
    assert reader.most < 7_000_000


def test_the_caller_may_write_into_the_pixels_that_were_read() -> None:
    pixels = np.full((60, 60, 3), 200, np.uint8)
    slide = open_slide(pixels, SlideOptions(mpp=0.5))
    for factor in (1, 2, 1.5):
        slide.read(Box(0, 0, 20, 20), slide.frame(0.5 * factor))[:] = 0
    assert (pixels == 200).all()


def test_levels_of_an_odd_sized_slide_lie_on_each_other(slides: Path) -> None:
    """OpenSlide calls the second level 2.0005 times smaller and paints it with a shift; stored tiles have none."""
    with open_slide(slides / "aperio/tcga-cr-7395-01a-01-ts1.svs") as slide:
        for x, y in ((300, 300), (1024, 1024), (1700, 1300)):
            coarse = slide._reader.read_level(1, Box(x, y, 256, 256)).astype(float)
            differ = []
            for shift in (-1, 0, 1):
                box = Box(2 * x + shift, 2 * y + shift, 512, 512)
                fine = slide._reader.read_level(0, box).reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
                differ.append(np.abs(coarse - fine).mean())
            assert differ[1] < 0.7 * differ[0]
            assert differ[0] == pytest.approx(differ[2], rel=0.03)
