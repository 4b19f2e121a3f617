"""Colours that are wrong bring a caution, with glass in the picture and without; those of H&E bring none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.geometry import Box
from wsi_parse.settings.sections import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_svs_like
from wsi_parse.tissue import colours
from wsi_parse.tissue.detection import detect_tissue

Pixels = NDArray[np.uint8]
SHARES = (0.5, 1.0)


def cautions_of(source: Pixels | Path, mpp: float = 0.25) -> tuple[str, ...]:
    with open_slide(source, SlideOptions(mpp=mpp, override_mpp=True)) as slide:
        return tuple(caution.code for caution in detect_tissue(slide, TissueSettings()).cautions)


def painted(share: float) -> Pixels:
    """Paint a slide of which a share is tissue."""
    return SyntheticSlide(700, 600, seed=3, tissue=share).pixels(Box(0, 0, 700, 600))


def ycbcr(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


@pytest.mark.parametrize("share", SHARES)
def test_colours_of_h_and_e_bring_no_caution(share: float) -> None:
    assert cautions_of(painted(share)) == ()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: np.ascontiguousarray(pixels[..., ::-1]),
        lambda pixels: (pixels * np.array([1, 0.8, 0.6])).astype(np.uint8),
        lambda pixels: (pixels * np.array([0.6, 0.8, 1])).astype(np.uint8),
        ycbcr,
    ],
    ids=["swapped", "yellow", "blue", "ycbcr"],
)
def test_wrong_colours_bring_a_caution(change: Callable[[Pixels], Pixels], share: float) -> None:
    assert cautions_of(change(painted(share)))[0] in ("tinted-glass", "unusual-colours")


def test_what_is_wrong_with_the_colours_is_said() -> None:
    for pixels, said in ((ycbcr(painted(1.0)), "YCbCr"), (painted(1.0)[..., ::-1], "red and blue of the slide seem")):
        with open_slide(np.ascontiguousarray(pixels), SlideOptions(mpp=0.25)) as slide:
            (caution,) = detect_tissue(slide, TissueSettings()).cautions
        assert said in caution.text


@pytest.mark.parametrize("share", SHARES)
def test_an_svs_whose_ycbcr_is_called_rgb_brings_a_caution(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.svs"
    write_svs_like(path, SyntheticSlide(700, 600, seed=3, tissue=share))
    assert cautions_of(path) == ()
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(2)
    assert cautions_of(path)[0] in ("tinted-glass", "unusual-colours")


def test_less_tissue_than_a_nucleus_is_none(tmp_path: Path) -> None:
    Image.fromarray(painted(1.0)[300:301, 300:301]).save(tmp_path / "one.png")
    Image.new("RGBA", (300, 200), (200, 100, 150, 0)).save(tmp_path / "clear.png")
    for name in ("one.png", "clear.png"):
        assert cautions_of(tmp_path / name) == ("no-tissue",)


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
@given(st.integers(0, 1 << 30))
def test_correlation_in_parts_is_the_one_of_numpy(at_once: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one = random.random(random.integers(3, 40)).astype(np.float32)
    other = (one * random.normal() + random.random(len(one))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(colours, "_PIXELS_AT_ONCE", at_once)
        assert colours._correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)
