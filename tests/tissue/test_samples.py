"""Samples lie on the slide and on tissue; black, ink and glass are not among their usable pixels."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.shared import shared_data_root
from wsi_parse.models.mini.stain_normalization import StainNormalization
from wsi_parse.models.stain import StainModel, estimate
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.samples import Sample, read_samples, sample_boxes

INKS = {"black": (20, 20, 25), "blue": (40, 60, 160), "green": (30, 120, 70), "red": (220, 30, 50)}


@pytest.fixture(scope="module")
def tissue_pixels() -> NDArray[np.uint8]:
    """Read 1000 x 1000 pixels of dense tissue at 0.25 µm/px."""
    return np.asarray(Image.open(shared_data_root() / "nuclei/consep/images/train_01.jpg").convert("RGB"))


def samples_of(pixels: NDArray[np.uint8], mpp: float = 0.25) -> list[Sample]:
    slide = open_slide(pixels, SlideOptions(mpp=mpp))
    return read_samples(slide, detect_tissue(slide, TissueSettings()), 0.5)


def samples_without_rows(pixels: NDArray[np.uint8], start: int, stop: int) -> list[Sample]:
    """Sample a picture of 0.25 µm/px without some of its rows."""
    slide = open_slide(pixels, SlideOptions(mpp=0.25))
    tissue = detect_tissue(slide, TissueSettings())
    y = (np.arange(tissue.frame.height) + 0.5) * tissue.frame.scale_y
    kept = tissue.tissue & ((y < start) | (y >= stop))[:, None]
    return read_samples(slide, dataclasses.replace(tissue, tight=kept), 0.5)


def usable(samples: list[Sample]) -> int:
    return sum(int(sample.usable.sum()) for sample in samples)


@pytest.mark.parametrize(("width", "height"), [(200, 130), (641, 333), (1200, 1200), (5000, 3000)])
def test_a_sample_lies_on_the_slide_and_none_overlaps_another(width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(120, 200, (height, width, 3)).astype(np.uint8)
    slide = open_slide(pixels, SlideOptions(mpp=0.5))
    frame, coarse = slide.frame(0.5), slide.frame(8.0)
    tissue = TissueMask(np.ones(coarse.box.shape, bool), coarse)
    boxes = sample_boxes(tissue, frame)
    assert len({(box.x, box.y) for box in boxes}) == len(boxes) <= 24
    samples = read_samples(slide, tissue, 0.5)
    assert sum(sample.usable.size for sample in samples) <= width * height
    assert all((sample.image < 255).all() for sample in samples)
    if len(samples) < 24:
        assert usable(samples) == width * height


def test_a_frame_that_reaches_beyond_the_slide_adds_no_white() -> None:
    """131 px of 0.33 µm are 86.46 px of 0.5 µm: the last one lies beside the slide."""
    pixels = np.full((131, 131, 3), (200, 120, 170), np.uint8)
    slide = open_slide(pixels, SlideOptions(mpp=0.33))
    frame = slide.frame(8.0)
    samples = read_samples(slide, TissueMask(np.ones(frame.box.shape, bool), frame), 0.5)
    assert {tuple(pixel) for sample in samples for pixel in sample.pixels.tolist()} == {(200, 120, 170)}


def test_glass_around_tissue_changes_no_estimate(tissue_pixels: NDArray[np.uint8]) -> None:
    """More glass in view had moved the threshold so far that a quarter of the nuclei was lost."""
    beside = np.full((1000, 4000, 3), 243, np.uint8)
    beside[:, 1500:2500] = tissue_pixels
    padded = np.full((1200, 1200, 3), 243, np.uint8)
    padded[100:1100, 100:1100] = tissue_pixels
    alone, wide = estimate(samples_of(padded)), estimate(samples_of(beside))
    assert wide["threshold"] == pytest.approx(alone["threshold"], abs=0.01)
    assert wide["white"] == pytest.approx(alone["white"], abs=2)
    styles = [StainNormalization.of(samples_of(pixels)) for pixels in (padded, beside)]
    assert styles[0].strength == pytest.approx(styles[1].strength, rel=0.03)
    assert styles[0].white == pytest.approx(styles[1].white, abs=0.02)


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("width_px", [80, 300])
def test_ink_changes_no_estimate(tissue_pixels: NDArray[np.uint8], ink: str, width_px: int) -> None:
    """A stroke of 20 µm is too narrow for the overview of the slide, one of 75 µm is not."""
    marked = tissue_pixels.copy()
    marked[400 : 400 + width_px] = INKS[ink]
    samples = samples_of(marked)
    for sample in samples:
        colour = np.abs(sample.pixels.astype(int) - INKS[ink]).max(axis=1)
        assert (colour <= 5).mean() < 0.001
    without = samples_without_rows(tissue_pixels, 390, 410 + width_px)
    assert estimate(samples)["threshold"] == pytest.approx(estimate(without)["threshold"], abs=0.02)
    style, plain_style = StainNormalization.of(samples), StainNormalization.of(without)
    assert style.strength == pytest.approx(plain_style.strength, rel=0.06)


@pytest.mark.parametrize("black", [(0, 0, 0), (9, 5, 10)])
def test_black_canvas_and_black_lines_change_no_estimate(
    tissue_pixels: NDArray[np.uint8], black: tuple[int, int, int]
) -> None:
    canvas = np.full((1000, 2000, 3), black, np.uint8)
    canvas[:, :1000] = tissue_pixels
    lined = tissue_pixels.copy()
    lined[:, 500:512] = black
    plain = estimate(samples_of(tissue_pixels))
    for pixels in (canvas, lined):
        samples = samples_of(pixels)
        assert usable(samples) > 0.8 * usable(samples_of(tissue_pixels)) * (1 - 0.03)
        assert all((sample.pixels.max(axis=1) > 40).all() for sample in samples)
        assert estimate(samples)["threshold"] == pytest.approx(plain["threshold"], abs=0.02)


def test_tissue_that_is_as_pale_as_glass_is_sampled_nevertheless() -> None:
    slide = open_slide(np.full((400, 400, 3), 230, np.uint8), SlideOptions(mpp=0.5))
    frame = slide.frame(8.0)
    everything = np.ones(frame.box.shape, bool)
    samples = read_samples(slide, TissueMask(everything, frame, tight=~everything), 0.5)
    assert usable(samples) == 400 * 400


def test_few_pixels_and_a_threshold_at_its_bound_are_cautioned() -> None:
    assert StainModel.cautions_of({"threshold": 0.25, "source": "no tissue"}) == ()
    assert StainModel.cautions_of({"threshold": 0.3, "pixels": 50_000}) == ()
    assert [caution.code for caution in StainModel.cautions_of({"threshold": 0.8, "pixels": 50_000})] == [
        "threshold-at-bound"
    ]
    (few,) = StainModel.cautions_of({"threshold": 0.25, "pixels": 300})
    assert few.code == "few-pixels-of-stain"
    assert few.number == 300
    black = Sample.whole(np.tile(np.array([[[245, 244, 246]], [[2, 2, 2]]], np.uint8), (64, 128, 1)))
    assert StainModel.cautions_of(estimate([black]))[0].code == "threshold-at-bound"


def test_the_embedded_model_tells_of_few_pixels() -> None:
    from wsi_parse.models.mini.segmenter import MiniModel

    assert MiniModel.cautions_of({"pixels": 90_000}) == ()
    assert MiniModel.cautions_of({}) == ()
    assert [caution.code for caution in MiniModel.cautions_of({"pixels": 40})] == ["few-pixels-of-stain"]
