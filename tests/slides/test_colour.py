"""8-bit bright-field RGB is processed; everything else is refused, and nothing is shown wrongly."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.shared import shared_data_root
from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides import SlideOptions, open_slide


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int8])
def test_pixels_that_are_not_8_bit_are_refused(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.ones((64, 64, 3), dtype), photometric="rgb", tile=(16, 16), ome=False)
    with pytest.raises(UnsupportedSlideError, match="8-bit"):
        open_slide(path, SlideOptions(reader="tiffslide"))


def test_a_16_bit_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(path)
    with pytest.raises(UnsupportedSlideError, match="8-bit"):
        open_slide(path)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:20] = (200, 100, 150, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", SlideOptions(mpp=0.5)) as slide:
        read = slide.read(Box(0, 0, 40, 40), slide.frame(0.5))
    assert (read[20:] == 255).all()
    assert (read[:20] == (200, 100, 150)).all()


RGB = np.random.default_rng(0).integers(90, 256, (128, 128, 3), dtype=np.uint8)
TILED = {"tile": (64, 64)}


def first_pixels(path: Path) -> NDArray[np.uint8]:
    with open_slide(path, SlideOptions(mpp=0.5, override_mpp=True)) as slide:
        return slide.read(slide.frame(0.5).box, slide.frame(0.5))


@pytest.mark.parametrize("options", [{}, TILED])
@pytest.mark.parametrize(
    ("pixels", "photometric", "words"),
    [
        (RGB.astype(np.uint16) * 256, "rgb", "uint16"),
        (RGB.astype(np.float32), "rgb", "float32"),
        (RGB.astype(np.int8), "rgb", "int8"),
        (RGB[..., 0], "minisblack", "single channel"),
        (RGB[..., 0] > 128, "minisblack", "8-bit"),
        (np.dstack([RGB, RGB[..., 0]]), "separated", "SEPARATED"),
    ],
)
def test_tiffs_of_other_pixels_are_refused_by_every_reader(
    tmp_path: Path, pixels: NDArray[np.generic], photometric: str, words: str, options: dict[str, tuple[int, int]]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, **options)
    with pytest.raises(UnsupportedSlideError, match=words):
        open_slide(tmp_path / "a.tif")


def test_indexed_tiffs_and_grey_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("P").save(tmp_path / "a.tif")
    Image.fromarray(RGB).convert("L").save(tmp_path / "a.png")
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg")
    for name in ("a.tif", "a.png", "a.jpg"):
        with pytest.raises(UnsupportedSlideError, match="RGB"):
            open_slide(tmp_path / name)


def test_separate_channels_are_refused_and_the_way_out_is_named(tmp_path: Path) -> None:
    planes = RGB.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"}, **TILED)
    with pytest.raises(UnsupportedSlideError, match=r"3 separate channels.*raw2ometiff --rgb"):
        open_slide(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("options", [{}, TILED])
def test_colours_stored_in_planes_are_the_same_pixels(
    tmp_path: Path, name: str, options: dict[str, tuple[int, int]]
) -> None:
    planes = RGB.transpose(2, 0, 1)
    kind = {"photometric": "rgb", "planarconfig": "separate", "metadata": {"axes": "SYX"}}
    tifffile.imwrite(tmp_path / name, planes, **kind, **options)
    assert np.array_equal(first_pixels(tmp_path / name), RGB)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("options", [{}, TILED])
def test_orientation_tags_are_ignored_as_openslide_and_qupath_do(
    tmp_path: Path, orientation: int, options: dict[str, tuple[int, int]]
) -> None:
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None, extratags=tag, **options)
    assert np.array_equal(first_pixels(tmp_path / "a.tif"), RGB)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(first_pixels(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize(("kind", "alpha"), [("unassalpha", 128), ("assocalpha", 128), ("unspecified", 128)])
def test_alpha_of_tiffs_is_laid_on_white(tmp_path: Path, kind: str, alpha: int) -> None:
    pixels = np.full((64, 64, 4), (100, 50, 20, alpha), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[kind])
    mixed = {"unassalpha": (177, 152, 137), "assocalpha": (227, 177, 147), "unspecified": (100, 50, 20)}[kind]
    assert first_pixels(tmp_path / "a.tif")[0, 0] == pytest.approx(mixed, abs=1)


def test_large_pictures_are_read_without_a_warning_and_too_large_ones_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsi_parse.slides import image_reader

    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert np.array_equal(first_pixels(tmp_path / "a.png"), RGB)
    monkeypatch.setattr(image_reader, "MAX_PX", 1000)
    Image.fromarray(RGB).save(tmp_path / "b.png")
    with pytest.raises(UnsupportedSlideError, match="pyramidal TIFF"):
        open_slide(tmp_path / "b.png")


# ---- bright-field or not ------------------------------------------------------------------------------------------


def test_pictures_of_tissue_are_not_mistaken_for_fluorescence() -> None:
    pictures = [path for path in (shared_data_root() / "tissue").rglob("*.*g") if "mask" not in path.name]
    assert len(pictures) > 30
    for path in pictures:
        open_slide(path).close()
        pixels = np.asarray(Image.open(path).convert("RGB"))
        open_slide((pixels * 0.55).astype(np.uint8)).close()
        filled = np.zeros((pixels.shape[0] * 2, pixels.shape[1] * 2, 3), np.uint8)
        filled[: pixels.shape[0], : pixels.shape[1]] = pixels
        if (pixels.min(axis=2) > 200).mean() > 0.1:
            open_slide(filled).close()


def stained_in_the_dark(height: int, width: int) -> NDArray[np.uint8]:
    """Blue nuclei on black."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 25, (height, width, 3), dtype=np.uint8)
    for _ in range(height * width // 900):
        y, x = rng.integers(0, height - 9), rng.integers(0, width - 9)
        pixels[y : y + 9, x : x + 9, 2] = 220
    return pixels


@pytest.mark.parametrize("canvas", [0, 300])
def test_fluorescence_is_refused_also_on_a_white_canvas(canvas: int) -> None:
    pixels = np.full((300 + canvas, 300 + canvas, 3), 255, np.uint8)
    pixels[:300, :300] = stained_in_the_dark(300, 300)
    with pytest.raises(UnsupportedSlideError, match="fluorescence"):
        open_slide(pixels)


def test_a_blank_slide_with_black_ink_is_not_fluorescence() -> None:
    pixels = np.full((300, 300, 3), 255, np.uint8)
    pixels[100:108] = 5
    open_slide(pixels).close()
