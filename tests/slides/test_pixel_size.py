"""The pixel size comes from the file or from the user, or it is missing; it is never guessed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from wsi_parse.errors import PixelSizeError
from wsi_parse.slides import SlideOptions, open_slide

APERIO = "aperio/CMU-1-Small-Region.svs"


def test_a_missing_pixel_size_is_an_error_that_says_how_to_give_it(slides: Path) -> None:
    with (
        open_slide(slides / "aperio/tcga-cr-7395-01a-01-ts1.svs") as slide,
        pytest.raises(PixelSizeError, match="--mpp"),
    ):
        slide.frame(0.5)


def test_the_users_number_fills_in_and_agrees_within_two_percent(slides: Path) -> None:
    assert open_slide(slides / "odd/openslide-python/boxes.png", SlideOptions(mpp=0.3)).pixel_size.source == "user"
    assert open_slide(slides / APERIO, SlideOptions(mpp=0.5)).pixel_size.x_um == 0.499
    with pytest.raises(PixelSizeError, match=r"0\.25.*0\.499.*--override-mpp"):
        open_slide(slides / APERIO, SlideOptions(mpp=0.25))
    overridden = open_slide(slides / APERIO, SlideOptions(mpp=0.25, override_mpp=True)).pixel_size
    assert (overridden.x_um, overridden.y_um) == (0.25, 0.25)
    assert "user" in overridden.source


@pytest.mark.parametrize(("dpi", "known"), [(72, False), (96, False), (150, False), (300, False), (101_600, True)])
def test_resolution_tags_count_only_where_they_are_plausible(tmp_path: Path, dpi: int, known: bool) -> None:
    pixels = np.random.default_rng(0).integers(90, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(dpi, dpi), resolutionunit=2)
    assert (open_slide(path).info.pixel_size is not None) == known


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1.0), ("nm", 1000.0), ("mm", 0.001)])
def test_ome_units_are_converted_and_anisotropy_kept(unit: str, factor: float) -> None:
    from wsi_parse.slides.pixel_size import from_ome_xml

    sizes = {"X": 0.25 * factor, "Y": 0.3 * factor}
    pixels = " ".join(f'PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="{unit}"' for axis, size in sizes.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://x/OME"><Image><Pixels {pixels}/></Image></OME>'
    size = from_ome_xml(xml)
    assert size is not None
    assert (size.x_um, size.y_um) == pytest.approx((0.25, 0.3))
    assert size.source == "OME-XML"


def test_a_pyramidal_ome_tiff_knows_its_pixel_size(painted: Path) -> None:
    with open_slide(painted / "a.ome.tif") as slide:
        assert slide.pixel_size.source == "OME-XML"
        assert slide.pixel_size.x_um == pytest.approx(0.25)
        assert len(slide.info.levels) > 1


def test_an_override_is_used_even_if_the_file_nearly_agrees(slides: Path) -> None:
    size = open_slide(slides / APERIO, SlideOptions(mpp=0.5, override_mpp=True)).pixel_size
    assert (size.x_um, size.source) == (0.5, "user, overriding aperio metadata")


@pytest.mark.parametrize("mpp", [0.0, -0.25, float("nan"), float("inf")])
def test_invalid_numbers_are_refused(mpp: float) -> None:
    with pytest.raises(PixelSizeError, match="is not a valid pixel size"):
        open_slide(np.full((9, 9, 3), 200, np.uint8), SlideOptions(mpp=mpp))


def test_override_needs_a_number(slides: Path) -> None:
    with pytest.raises(PixelSizeError, match="--mpp"):
        open_slide(slides / APERIO, SlideOptions(override_mpp=True))


def test_vendor_metadata_are_called_so_by_every_reader(slides: Path) -> None:
    for reader in ("openslide", "tiffslide"):
        size = open_slide(slides / APERIO, SlideOptions(reader=reader)).pixel_size
        assert (size.x_um, size.source) == (0.499, "aperio metadata")


def test_an_ome_tiff_without_a_size_falls_back_on_its_tags(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(90, 256, (64, 64, 3), dtype=np.uint8)
    options = {"photometric": "rgb", "tile": (32, 32), "metadata": {"axes": "YXS"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, resolution=(40_000, 20_000), resolutionunit=3, **options)
    size = open_slide(tmp_path / "a.ome.tif").pixel_size
    assert (size.x_um, size.y_um, size.source) == (pytest.approx(0.25), pytest.approx(0.5), "TIFF resolution")
    tifffile.imwrite(tmp_path / "b.ome.tif", pixels, resolution=(72, 72), resolutionunit=2, **options)
    assert open_slide(tmp_path / "b.ome.tif").info.pixel_size is None
