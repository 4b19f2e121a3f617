"""Every slide of the test data gives a right result or the right error."""

from pathlib import Path

import numpy as np
import pytest

from wsi_parse.errors import SlideOpenError, SlideReadError, UnsupportedSlideError
from wsi_parse.geometry import Box
from wsi_parse.slides import SlideOptions, open_slide

APERIO = "aperio/CMU-1-Small-Region.svs"
DICOM = "dicom/CMU-1-Small-Region"

OPENS = [
    (APERIO, "openslide", (2220, 2967), 1, 0.499),
    ("aperio/tcga-cr-7395-01a-01-ts1.svs", "openslide", (4443, 3567), 2, None),
    (f"{DICOM}/01.dcm", "openslide", (2220, 2967), 1, 0.499),
    (f"{DICOM}/02.dcm", "openslide", (2220, 2967), 1, 0.499),
    (f"{DICOM}/03.dcm", "openslide", (2220, 2967), 1, 0.499),
    (f"{DICOM}/04.dcm", "openslide", (2220, 2967), 1, 0.499),
    ("ome/OS-1-detail.ome.tif", "tiffslide", (1101, 1101), 1, 0.2271),
    ("mosaic/tnbc_mosaic_40x.svs", "openslide", (8192, 6144), 4, 0.25),
    ("mosaic/tnbc_mosaic_generic_mpp025.tif", "openslide", (8192, 6144), 4, 0.25),
    ("odd/large_image/yb10kx5k.zstd.tiff", "openslide", (10000, 5000), 5, None),
    ("odd/openslide-python/boxes-no-icc.png", "image", (300, 250), 1, None),
    ("odd/openslide-python/boxes.png", "image", (300, 250), 1, None),
    ("odd/openslide-python/boxes.tiff", "openslide", (300, 250), 4, None),
    ("odd/openslide-python/boxes_0.dcm", "openslide", (16, 16), 1, 0.499),
    ("odd/openslide-python/boxes_1.dcm", "openslide", (16, 16), 1, 0.499),
    ("odd/openslide-python/small.svs", "openslide", (16, 16), 1, 0.499),
    ("odd/openslide-python/small_old.svs", "openslide", (16, 16), 1, 0.499),
    ("odd/openslide-python/😐.png", "image", (300, 250), 1, None),
    ("odd/openslide-python/😐.svs", "openslide", (16, 16), 1, 0.499),
]

REFUSED = [
    ("hamamatsu/test3-DAPI-2-(387).ndpi", UnsupportedSlideError, "fluorescence"),
    ("ome/4D-series.ome.tiff", UnsupportedSlideError, "focus planes"),
    ("odd/broken.svs", SlideOpenError, "openslide: .*tiffslide: .*image: "),
    ("odd/large_image/notanimage.txt", SlideOpenError, "cannot be opened"),
    *((f"odd/large_image/test_orient{tag}.tif", UnsupportedSlideError, "single channel") for tag in (0, 1, 3)),
    ("odd/large_image/sample_float32_8bit_range.zarr.zip", SlideOpenError, "cannot be opened"),
    ("odd/libvips_dicom_not_wsi.dcm", SlideOpenError, "cannot be opened"),
    ("odd/openslide-python/unopenable.tiff", SlideOpenError, "cannot be opened"),
    ("zarr/viv/blobs_image_v04.ome.zarr", UnsupportedSlideError, "OME-Zarr"),
    ("zarr/viv/blobs_image_v05.ome.zarr", UnsupportedSlideError, "OME-Zarr"),
]
NOT_SLIDES = {".geojson", ".json", ".md", ".zattrs", ".zgroup", ".zarray"}


@pytest.mark.parametrize(("name", "reader", "size", "levels", "mpp"), OPENS)
def test_slides_that_open(
    slides: Path, name: str, reader: str, size: tuple[int, int], levels: int, mpp: float | None
) -> None:
    with open_slide(slides / name) as slide:
        info = slide.info
        assert (info.reader, info.width, info.height, len(info.levels)) == (reader, *size, levels)
        found = info.pixel_size.x_um if info.pixel_size else None
        assert found == (pytest.approx(mpp, rel=1e-3) if mpp else None)
        assert (info.cautions, info.notes) == ((), ())
    with open_slide(slides / name, SlideOptions(mpp=mpp or 0.5)) as slide:
        frame = slide.frame(2 * slide.pixel_size.x_um)
        assert slide.read(Box(0, 0, 9, 7), frame).shape == (7, 9, 3)


UNREADABLE = "odd/openslide-python/unreadable.svs"


def test_a_slide_of_damaged_tiles_opens_and_reading_says_where(slides: Path) -> None:
    with open_slide(slides / UNREADABLE) as slide:
        with pytest.raises(SlideReadError, match=r"unreadable\.svs.* x 0, y 0"):
            slide.read(Box(0, 0, 16, 16))
        read = slide.read_readable(Box(0, 0, 16, 16))
        assert not read.known(Box(0, 0, 16, 16)).any()
        assert (read.pixels == 255).all()


@pytest.mark.parametrize(("name", "error", "words"), REFUSED)
def test_slides_that_are_refused(slides: Path, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_slide(slides / name)


def test_every_slide_of_the_test_data_is_named_here(slides: Path) -> None:
    named = {name for name, *_ in (*OPENS, *REFUSED)} | {"mosaic/tnbc_mosaic_tissue_ds16.png", UNREADABLE}
    for path in slides.rglob("*"):
        name = path.relative_to(slides).as_posix()
        known = name in named or any(name.startswith(f"{folder}/") for folder in named)
        assert path.is_dir() or known or path.suffix in NOT_SLIDES, name


def test_aperio_and_dicom_are_the_same_pixels(slides: Path) -> None:
    one, other = open_slide(slides / APERIO), open_slide(slides / DICOM / "02.dcm")
    frame = one.frame(0.7)
    assert np.array_equal(one.read(frame.box, frame), other.read(frame.box, frame))


def test_bounds_are_kept_where_qupath_crops_to_them(painted: Path, slides: Path) -> None:
    bounds = open_slide(painted / "a.scn").info.bounds_level0
    assert bounds is not None
    assert bounds.x > 0
    assert bounds.y > 0
    assert open_slide(painted / "a.tif").info.bounds_level0 is None


def test_the_mosaic_is_the_same_slide_in_both_formats(slides: Path) -> None:
    """Each was compressed as JPEG separately: they differ by a few grey levels, never by a shift of a pixel."""
    names = ("tnbc_mosaic_40x.svs", "tnbc_mosaic_generic_mpp025.tif")
    one, other = (open_slide(slides / "mosaic" / name) for name in names)
    assert one.info.levels == other.info.levels
    for mpp in (0.5, 1.3):
        frame = one.frame(mpp)
        assert frame == other.frame(mpp)
        box = Box(frame.width // 3, frame.height // 3, 600, 500)
        assert np.abs(one.read(box, frame).astype(int) - other.read(box, frame)).mean() < 3


def test_outside_of_the_scanned_part_is_white(painted: Path) -> None:
    with open_slide(painted / "a.scn") as slide:
        bounds, frame = slide.info.bounds_level0, slide.frame(slide.pixel_size.x_um)
        assert bounds is not None
        assert (slide.read(Box(0, 0, bounds.x, bounds.y), frame) == 255).all()
        assert (slide.read(bounds, frame) < 255).any()
