"""The pixel size from nuclei, on slides whose pixel size is taken away, at any scale; and where it cannot be told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.shared import shared_data_root
from wsi_parse.geometry import Box
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_svs_like
from wsi_parse.tissue.dense_fields import dense_fields
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.pixel_size_estimate import PixelSizeEstimate, estimate_pixel_size

# None of these slides was used to fit the weights; the mosaic is made of tiles that were.
SLIDES = {
    "slides/aperio/CMU-1-Small-Region.svs": 0.499,
    "slides/mosaic/tnbc_mosaic_40x.svs": 0.25,
    "slides/ome/OS-1-detail.ome.tif": 0.227,
    "regions/bcss/slides/bcss_TCGA-A2-A0D2.tiff": 0.28,
    "regions/bcss/slides/bcss_TCGA-A2-A1G6.tiff": 0.26,
}


def estimate(slide: Slide) -> PixelSizeEstimate | None:
    return estimate_pixel_size(dense_fields(slide, detect_tissue(slide, TissueSettings())))


def reduced(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    size = (round(pixels.shape[1] / factor), round(pixels.shape[0] / factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


@pytest.mark.parametrize(("name", "mpp"), SLIDES.items(), ids=[Path(name).stem for name in SLIDES])
class TestSlides:
    def test_the_right_number_is_found_and_agrees_and_half_and_double_do_not(self, name: str, mpp: float) -> None:
        # What the slide is said to have must not matter.
        for said in (mpp / 2, mpp, 2 * mpp):
            with open_slide(shared_data_root() / name, SlideOptions(mpp=said, override_mpp=True)) as slide:
                found = estimate(slide)
            assert found is not None
            assert mpp / 1.5 < found.mpp < 1.5 * mpp
            assert found.agrees_with(mpp)
            assert not found.agrees_with(mpp / 2)
            assert not found.agrees_with(2 * mpp)

    @pytest.mark.parametrize("factor", [2.0, 4.0])
    def test_the_same_slide_on_fewer_pixels(self, name: str, mpp: float, factor: float) -> None:
        with open_slide(shared_data_root() / name, SlideOptions(mpp=mpp, override_mpp=True)) as slide:
            pixels = slide.read(Box(0, 0, *slide.dimensions))
        with open_slide(reduced(pixels, factor), SlideOptions(mpp=0.5)) as slide:
            found = estimate(slide)
        assert found is not None
        assert mpp * factor / 1.5 < found.mpp < 1.5 * mpp * factor
        assert found.agrees_with(mpp * factor)


@pytest.fixture(scope="module")
def tnbc() -> dict[str, NDArray[np.uint8]]:
    paths = sorted((shared_data_root() / "nuclei/tnbc/images").glob("*.png"))
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in paths}


@pytest.mark.parametrize("factor", [1.0, 2**0.5, 2.0, 2**1.5, 4.0])
def test_tiles_at_five_scales(tnbc: dict[str, NDArray[np.uint8]], factor: float) -> None:
    told = 0
    for name, pixels in [*tnbc.items()][::3]:
        with open_slide(reduced(pixels, factor), SlideOptions(mpp=0.5)) as slide:
            found = estimate(slide)
        if found is not None:
            told += 1
            assert found.agrees_with(0.25 * factor), name
    assert told >= 6


def test_frozen_section_without_a_pixel_size() -> None:
    path = shared_data_root() / "slides/aperio/tcga-cr-7395-01a-01-ts1.svs"
    with open_slide(path, SlideOptions(mpp=0.5)) as slide:
        found = estimate(slide)
    # Its lymphocytes are 4 to 5 pixels wide.
    assert found is not None
    assert 1.0 < found.mpp < 2.0
    assert found.high > 1.9


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_painted_slides(tmp_path: Path, mpp: float) -> None:
    write_svs_like(tmp_path / "s.svs", SyntheticSlide(2000, 1500, mpp=mpp, seed=5))
    with open_slide(tmp_path / "s.svs") as slide:
        found = estimate(slide)
    assert found is not None
    assert found.agrees_with(mpp)
    assert mpp / 1.5 < found.mpp < 1.5 * mpp


class TestCannotBeTold:
    @pytest.mark.parametrize(
        "pixels",
        [
            np.full((600, 800, 3), 240, np.uint8),
            np.full((1, 1, 3), 150, np.uint8),
            np.full((700, 700, 3), (200, 120, 180), np.uint8),
            np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8),
        ],
        ids=["glass", "one pixel", "even tissue", "noise"],
    )
    def test_what_has_no_nuclei(self, pixels: NDArray[np.uint8]) -> None:
        with open_slide(pixels, SlideOptions(mpp=0.5)) as slide:
            assert estimate(slide) is None

    def test_a_few_nuclei(self, tnbc: dict[str, NDArray[np.uint8]]) -> None:
        with open_slide(np.ascontiguousarray(tnbc["01_1"][:90, :90]), SlideOptions(mpp=0.25)) as slide:
            assert estimate(slide) is None
