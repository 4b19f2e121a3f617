"""What a slide looks like to the network: each number follows what it stands for; clean slides are within the range."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.run.test_clean_slides import CLEAN, QUICK
from tests.shared import shared_data_root
from wsi_parse.geometry import Box
from wsi_parse.models.mini.appearance import appearance_of
from wsi_parse.models.mini.confidence import embedded_confidence
from wsi_parse.models.mini.facts import READ_MPP
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.samples import Sample, read_samples


def painted(mpp: float) -> np.ndarray:
    return SyntheticSlide(700, 700, seed=3, mpp=mpp, tissue=1.0).pixels(Box(100, 100, 400, 400))


def look(image: np.ndarray) -> dict[str, float]:
    return appearance_of([Sample.whole(image)])


def outside(samples: list[Sample]) -> list[str]:
    state = appearance_of(samples)
    return [one.name for one in embedded_confidence().ranges() if one.value_outside(state) is not None]


def blurred(image: np.ndarray, sigma_um: float) -> np.ndarray:
    sigma_px = sigma_um / READ_MPP
    return gaussian_filter(image.astype(np.float32), (sigma_px, sigma_px, 0)).round().astype(np.uint8)


def test_blur_lowers_the_sharpness_and_nothing_else_much() -> None:
    image = painted(READ_MPP)
    sharp, soft = look(image), look(blurred(image, 1.0))
    assert soft["sharpness"] < 0.7 * sharp["sharpness"]
    assert soft["strength"] == pytest.approx(sharp["strength"], rel=0.25)


def test_the_stain_does_not_change_sharpness_and_size() -> None:
    image = painted(READ_MPP)
    paler = np.exp(0.6 * np.log(np.maximum(image, 1) / 255)) * 255
    plain, pale = look(image), look(paler.round().astype(np.uint8))
    assert pale["strength"] == pytest.approx(0.6 * plain["strength"], rel=0.15)
    assert pale["sharpness"] == pytest.approx(plain["sharpness"], rel=0.1)
    assert pale["nuclear_area_um2"] == pytest.approx(plain["nuclear_area_um2"], rel=0.25)


def test_coarser_pixels_than_the_slide_is_said_to_have_give_smaller_spots() -> None:
    right, wrong = look(painted(READ_MPP)), look(painted(2 * READ_MPP))
    assert wrong["nuclear_area_um2"] < right["nuclear_area_um2"] / 2


def test_without_tissue_nothing_is_known_and_nothing_is_outside() -> None:
    assert outside([]) == []
    assert appearance_of([])["sharpness"] is None


@pytest.mark.whole
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLEAN]
)
def test_clean_slides_are_within_what_the_weights_learnt_from(name: str) -> None:
    with open_slide(shared_data_root() / CLEAN[name]) as slide:
        samples = read_samples(slide, detect_tissue(slide, TissueSettings()), READ_MPP)
    assert outside(samples) == []
    out_of_focus = [Sample(blurred(sample.image, 1.0), sample.usable) for sample in samples]
    assert outside(out_of_focus) == ["sharpness"]


@pytest.mark.whole
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_with_a_wrong_pixel_size_a_slide_is_outside(factor: float) -> None:
    path = shared_data_root() / CLEAN["OS-1"]
    with open_slide(path) as slide:
        mpp = slide.pixel_size.x_um
    with open_slide(path, SlideOptions(mpp=factor * mpp, override_mpp=True)) as slide:
        samples = read_samples(slide, detect_tissue(slide, TissueSettings()), READ_MPP)
    assert "nuclear_area_um2" in outside(samples)
