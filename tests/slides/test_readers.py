"""Readers keep one contract; every slide at hand gives a right result or the right error."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.shared import shared_data_root
from wsi_parse.errors import (
    PixelSizeError,
    SlideOpenError,
    SlideReadError,
    UnknownNameError,
    UnsupportedSlideError,
    UsageError,
)
from wsi_parse.geometry import Box
from wsi_parse.slides import Slide, SlideOptions, list_slides, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_generic_tiff, write_leica_scn, write_ome_tiff, write_svs_like
from wsi_parse.testing import ReaderTests

APERIO = "aperio/CMU-1-Small-Region.svs"
DICOM = "dicom/CMU-1-Small-Region"


@pytest.fixture(scope="session")
def slides() -> Path:
    return shared_data_root() / "slides"


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One painted slide in four formats."""
    folder = tmp_path_factory.mktemp("painted")
    slide = SyntheticSlide(1536, 1120, seed=2)
    write_svs_like(folder / "a.svs", slide)
    write_generic_tiff(folder / "a.tif", slide)
    write_ome_tiff(folder / "a.ome.tif", slide)
    write_leica_scn(folder / "a.scn", slide)
    return folder


class TestAperio(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / APERIO)


class TestDicom(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / DICOM / "03.dcm")


class TestOddDownsample(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "aperio/tcga-cr-7395-01a-01-ts1.svs", SlideOptions(mpp=0.5))


class TestOmeTiff(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "ome/OS-1-detail.ome.tif")


class TestPyramidalOmeTiff(ReaderTests):
    @pytest.fixture
    def slide(self, painted: Path) -> Slide:
        return open_slide(painted / "a.ome.tif")


class TestLeica(ReaderTests):
    @pytest.fixture
    def slide(self, painted: Path) -> Slide:
        return open_slide(painted / "a.scn")


class TestPicture(ReaderTests):
    @pytest.fixture
    def slide(self, slides: Path) -> Slide:
        return open_slide(slides / "odd/openslide-python/boxes.png", SlideOptions(mpp=0.5))


class TestArray(ReaderTests):
    @pytest.fixture
    def slide(self) -> Slide:
        pixels = np.random.default_rng(0).integers(60, 256, (300, 400, 3), dtype=np.uint8)
        return open_slide(pixels, SlideOptions(mpp=0.5))


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
    from tests.scene import ArrayReader

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


# ---- every slide at hand, by name ---------------------------------------------------------------------------------

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
    ("odd/large_image/test_orient0.tif", "openslide", (120, 180), 3, None),
    ("odd/large_image/test_orient1.tif", "openslide", (120, 180), 3, None),
    ("odd/large_image/test_orient3.tif", "openslide", (120, 180), 3, None),
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
    ("odd/large_image/sample_float32_8bit_range.zarr.zip", SlideOpenError, "cannot be opened"),
    ("odd/libvips_dicom_not_wsi.dcm", SlideOpenError, "cannot be opened"),
    ("odd/openslide-python/unopenable.tiff", SlideOpenError, "cannot be opened"),
    ("odd/openslide-python/unreadable.svs", SlideReadError, r"unreadable\.svs.* x 0, y 0"),
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
    with open_slide(slides / name, SlideOptions(mpp=mpp or 0.5)) as slide:
        frame = slide.frame(2 * slide.pixel_size.x_um)
        assert slide.read(Box(0, 0, 9, 7), frame).shape == (7, 9, 3)


@pytest.mark.parametrize(("name", "error", "words"), REFUSED)
def test_slides_that_are_refused(slides: Path, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_slide(slides / name)


def test_every_slide_at_hand_is_named_here(slides: Path) -> None:
    named = {name for name, *_ in (*OPENS, *REFUSED)} | {"mosaic/tnbc_mosaic_tissue_ds16.png"}
    for path in slides.rglob("*"):
        name = path.relative_to(slides).as_posix()
        known = name in named or any(name.startswith(f"{folder}/") for folder in named)
        assert path.is_dir() or known or path.suffix in NOT_SLIDES, name


def test_aperio_and_dicom_are_the_same_pixels(slides: Path) -> None:
    one, other = open_slide(slides / APERIO), open_slide(slides / DICOM / "02.dcm")
    frame = one.frame(0.7)
    assert np.array_equal(one.read(frame.box, frame), other.read(frame.box, frame))


def test_stored_tiles_are_the_pixels_of_openslide(slides: Path) -> None:
    import openslide

    for name in (APERIO, "mosaic/tnbc_mosaic_40x.svs", "mosaic/tnbc_mosaic_generic_mpp025.tif"):
        with open_slide(slides / name) as slide, openslide.OpenSlide(slides / name) as reference:
            for index, level in enumerate(slide.info.levels):
                box = Box(level.width // 3, level.height // 3, min(500, level.width // 3), min(400, level.height // 3))
                place = (round(box.x * level.downsample_x), round(box.y * level.downsample_y))
                if index and (box.x * level.downsample_x) % 1:
                    continue
                theirs = np.asarray(reference.read_region(place, index, (box.width, box.height)).convert("RGB"))
                assert np.array_equal(slide._reader.read_level(index, box), theirs), (name, index)


def test_each_stored_tile_is_decoded_about_once(slides: Path) -> None:
    with open_slide(slides / "mosaic/tnbc_mosaic_40x.svs") as slide:
        cells = slide._reader.cells[0]  # type: ignore[attr-defined]
        before = cells.reads
        frame = slide.frame(0.25)
        for y in range(0, frame.height, 3584):
            for x in range(0, frame.width, 3584):
                slide.read(Box(x - 64, y - 64, 3712, 3712).intersection(frame.box), frame)
        assert (cells.reads - before) / cells.count <= 1.3


# ---- pixel size ---------------------------------------------------------------------------------------------------


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
    insisted = open_slide(slides / APERIO, SlideOptions(mpp=0.25, override_mpp=True)).pixel_size
    assert (insisted.x_um, insisted.y_um) == (0.25, 0.25)
    assert "user" in insisted.source


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


def test_bounds_are_kept_where_qupath_crops_to_them(painted: Path, slides: Path) -> None:
    bounds = open_slide(painted / "a.scn").info.bounds_level0
    assert bounds is not None
    assert bounds.x > 0
    assert bounds.y > 0
    assert open_slide(painted / "a.tif").info.bounds_level0 is None


# ---- what can be wrong with a file --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.ome.tif"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(painted: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (painted / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideOpenError):
        open_slide(path)


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


def test_a_copy_elsewhere_keeps_its_fingerprint(painted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another name.svs"
    copy.write_bytes((painted / "a.svs").read_bytes())
    assert open_slide(copy).info.fingerprint == open_slide(painted / "a.svs").info.fingerprint
    assert open_slide(painted / "a.tif").info.fingerprint != open_slide(painted / "a.svs").info.fingerprint


def test_all_files_of_a_dicom_slide_are_one_slide(slides: Path) -> None:
    marks = {open_slide(path).info.fingerprint for path in sorted((slides / DICOM).iterdir())}
    assert len(marks) == 1
    assert len(list_slides([slides / DICOM])) == 1


def test_unknown_readers_missing_files_and_empty_folders_are_said(tmp_path: Path, painted: Path) -> None:
    with pytest.raises(UnknownNameError, match="openslide"):
        open_slide(painted / "a.svs", SlideOptions(reader="nonsense"))
    with pytest.raises(SlideOpenError, match="no file"):
        open_slide(tmp_path / "missing.svs")
    with pytest.raises(UsageError, match="No slide"):
        list_slides([tmp_path])
    with pytest.raises(UsageError, match=r"missing\.svs"):
        list_slides([tmp_path / "missing.svs"])
    assert [path.name for path in list_slides([painted])] == ["a.ome.tif", "a.scn", "a.svs", "a.tif"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said(tmp_path: Path, painted: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes((painted / "a.svs").read_bytes())
    path.chmod(0)
    with pytest.raises(SlideOpenError):
        open_slide(path)
