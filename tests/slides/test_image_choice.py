"""The slide is the largest image in colour, wherever in its file it stands; a label or macro image is no slide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide

RNG = np.random.default_rng(0)
LARGE = RNG.integers(90, 256, (256, 320, 3), dtype=np.uint8)
SMALL = np.ascontiguousarray(LARGE[::4, ::4])
TILED = {"tile": (64, 64)}


def _write(path: Path, *images: tuple[np.ndarray, dict[str, Any]], ome: bool = False) -> Path:
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        for pixels, options in images:
            tiff.write(pixels, **{"photometric": "rgb", "metadata": None if not ome else {"axes": "YXS"}, **options})
    return path


def _mpp(mpp: float) -> dict[str, Any]:
    return {"resolution": (10_000 / mpp, 10_000 / mpp), "resolutionunit": "CENTIMETER"}


@pytest.mark.parametrize("first", [{}, TILED])
@pytest.mark.parametrize("second", [{}, TILED])
def test_a_thumbnail_that_comes_first_is_not_the_slide(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    path = _write(tmp_path / "a.tif", (SMALL, first | _mpp(1.0)), (LARGE, second | _mpp(0.25)))
    with open_slide(path) as slide:
        assert slide.dimensions == (320, 256)
        assert slide.pixel_size.x_um == pytest.approx(0.25)
        assert np.array_equal(slide.read(Box(0, 0, 320, 256)), LARGE)
        assert slide.info.notes == ("The file holds 2 images. The largest one is read: 320 x 256 px.",)


@pytest.mark.parametrize("options", [{}, TILED])
def test_a_macro_that_comes_first_is_not_the_slide(tmp_path: Path, options: dict[str, Any]) -> None:
    def described(name: str, mpp: float) -> dict[str, Any]:
        return options | {"metadata": {"axes": "YXS", "Name": name, "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}}

    other = np.ascontiguousarray(SMALL[:, ::-1])
    images = (
        (SMALL, described("macro image", 30.0)),
        (LARGE, described("slide", 0.25)),
        (other, described("label", 9.0)),
    )
    with open_slide(_write(tmp_path / "a.ome.tif", *images, ome=True)) as slide:
        assert (slide.dimensions, slide.pixel_size.x_um, slide.pixel_size.source) == ((320, 256), 0.25, "OME-XML")
        assert slide.info.notes == ("The file holds 3 images. The largest one is read: 320 x 256 px.",)
        assert np.array_equal(slide.read(Box(0, 0, 320, 256)), LARGE)


def test_the_macro_may_be_the_largest_in_pixels(tmp_path: Path) -> None:
    images = (
        (LARGE, TILED | {"metadata": {"axes": "YXS", "Name": "Macro", "PhysicalSizeX": 30.0, "PhysicalSizeY": 30.0}}),
        (SMALL, TILED | {"metadata": {"axes": "YXS", "Name": "region", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}}),
    )
    with open_slide(_write(tmp_path / "a.ome.tif", *images, ome=True)) as slide:
        assert (slide.dimensions, slide.pixel_size.x_um) == ((80, 64), 0.25)


def test_another_large_image_is_said(tmp_path: Path) -> None:
    images = (
        (LARGE, TILED | {"metadata": {"axes": "YXS", "Name": "left"}}),
        (LARGE[:200], TILED | {"metadata": {"axes": "YXS", "Name": "right"}}),
    )
    (note,) = open_slide(_write(tmp_path / "a.ome.tif", *images, ome=True)).info.notes
    assert note.endswith("Others are large, too, and are not read: 320 x 200 px.")


def test_a_macro_in_colour_does_not_stand_for_a_fluorescence_slide(tmp_path: Path) -> None:
    deep = {"photometric": "minisblack", **TILED}
    path = _write(tmp_path / "a.tif", (SMALL, TILED), (LARGE[..., 0].astype(np.uint16), deep))
    with pytest.raises(UnsupportedSlideError, match="uint16"):
        open_slide(path)


@pytest.mark.parametrize("options", [{}, TILED])
def test_several_images_of_one_size_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = _write(tmp_path / "a.tif", (LARGE, options), (LARGE[::-1].copy(), options), (LARGE[:, ::-1].copy(), options))
    with pytest.raises(UnsupportedSlideError, match="3 images of the same size"):
        open_slide(path)


@pytest.mark.parametrize("name", ["label image", "Macro", "slide_7 thumbnail"])
def test_a_file_that_holds_only_another_picture_of_the_slide_is_refused(tmp_path: Path, name: str) -> None:
    for options in ({}, TILED):
        path = _write(tmp_path / "a.ome.tif", (SMALL, options | {"metadata": {"axes": "YXS", "Name": name}}), ome=True)
        with pytest.raises(UnsupportedSlideError, match=r"holds only the .* of a slide, not its tissue"):
            open_slide(path)


def test_aperio_describes_its_label(tmp_path: Path) -> None:
    for kind in ("label", "macro"):
        path = _write(tmp_path / "a.tif", (SMALL, {"description": f"Aperio Image Library v11.2.1\n{kind} 80x64"}))
        with pytest.raises(UnsupportedSlideError, match=f"holds only the {kind}"):
            open_slide(path)


@pytest.mark.parametrize("name", ["label.png", "slide 12_macro.jpg", "Label.tif"])
def test_a_picture_called_label_is_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(SMALL).save(tmp_path / name)
    with pytest.raises(UnsupportedSlideError, match="Give the slide itself"):
        open_slide(tmp_path / name)


@pytest.mark.parametrize("name", ["macrophages.png", "label free kidney.png", "thumb.png", "unlabelled.png"])
def test_other_names_are_not_mistaken_for_it(tmp_path: Path, name: str) -> None:
    Image.fromarray(SMALL).save(tmp_path / name)
    assert open_slide(tmp_path / name).dimensions == (80, 64)


def test_a_file_of_a_set_is_read_alone_and_opens_no_other_file(tmp_path: Path) -> None:
    """OME-XML may name a pipe, on which a reader would wait for ever."""
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://x/OME" UUID="urn:uuid:1"><Image><Pixels DimensionOrder="XYCZT" '
        'Type="uint8" SizeX="320" SizeY="256" SizeC="3" SizeZ="{planes}" SizeT="1" PhysicalSizeX="0.25" '
        'PhysicalSizeY="0.25"><Channel SamplesPerPixel="3"/><TiffData><UUID FileName="a.ome.tif">urn:uuid:1</UUID>'
        '</TiffData><TiffData FirstZ="1"><UUID FileName="/dev/zero">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>'
    )
    path = _write(tmp_path / "a.ome.tif", (LARGE, TILED | {"description": xml.format(planes=1)}))
    assert open_slide(path).pixel_size.x_um == 0.25
    path = _write(tmp_path / "a.ome.tif", (LARGE, TILED | {"description": xml.format(planes=2)}))
    with pytest.raises(UnsupportedSlideError, match=r"2 planes|2 focus planes"):
        open_slide(path)
