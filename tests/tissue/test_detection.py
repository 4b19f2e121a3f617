"""Tissue detection: the demands on real slides, and the properties that hold for every picture."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.draw import disk

from benchmarks import tissue as measured
from tests.shared import shared_data_root
from wsi_parse.geometry import Box, Frame
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.slides.base import Level, PixelSize, SlideInfo
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.detection import detect_tissue, tissue_in_image
from wsi_parse.tissue.light import white_of
from wsi_parse.tissue.mask import TissueMask

pytestmark = pytest.mark.whole

SETTINGS = TissueSettings()
PINK = (220, 130, 180)
GLASS = (242, 241, 243)
# Grey, warm and cold glass; two of dark glass; canvas; a lamp that is turned off.
GLASSES = [
    (243, 243, 243),
    (232, 225, 212),
    (225, 232, 238),
    (184, 184, 184),
    (120, 120, 120),
    (255, 255, 255),
    (4, 3, 6),
]


@pytest.fixture(scope="module", autouse=True)
def data_for_benchmarks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the benchmark read what the tests read."""
    before = measured.DATA
    try:
        measured.DATA = shared_data_root()
    except pytest.skip.Exception:
        measured.DATA = Path("absent")
    yield
    measured.DATA = before


def check(rows: Iterator[measured.Row]) -> None:
    shared_data_root()
    found = list(rows)
    assert found
    assert [row for row in found if not row.holds] == []


def glass(height: int, width: int, colour: tuple[int, int, int] = GLASS) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def spotted(mpp: float, diameters_um: list[float]) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Draw pink disks in a row, 1.2 mm apart, on 2.4 mm of glass."""
    pixels = glass(round(2400 / mpp), round(1200 * (len(diameters_um) + 1) / mpp))
    centres = [(round(1200 / mpp), round(1200 * (index + 1) / mpp)) for index in range(len(diameters_um))]
    for centre, diameter_um in zip(centres, diameters_um, strict=True):
        pixels[disk(centre, diameter_um / 2 / mpp, shape=pixels.shape[:2])] = PINK
    return pixels, centres


def test_overlap_with_the_references() -> None:
    check(measured.reference_rows())


def test_pen_ink_on_a_real_slide_is_not_tissue() -> None:
    check(measured.pen_rows())


def test_drawn_pen_ink_of_four_colours_is_not_tissue() -> None:
    check(measured.drawn_pen_rows())


def test_tiles_with_and_without_tissue_are_distinguished() -> None:
    check(measured.tile_rows())


def test_dense_and_dark_tissue_is_not_ink() -> None:
    check(measured.dark_rows())


@pytest.mark.parametrize(
    ("name", "mpp", "least", "most"),
    [
        ("aperio/CMU-1-Small-Region.svs", None, 0.4, 0.5),
        ("dicom/CMU-1-Small-Region", None, 0.4, 0.5),
        ("aperio/tcga-cr-7395-01a-01-ts1.svs", 0.5, 0.62, 0.72),
        ("ome/OS-1-detail.ome.tif", None, 0.9, 1.0),
    ],
)
def test_real_slides(name: str, mpp: float | None, least: float, most: float) -> None:
    path = shared_data_root() / "slides" / name
    path = path if path.is_file() else next(path.iterdir())
    with open_slide(path, SlideOptions(mpp=mpp)) as slide:
        tissue = detect_tissue(slide, SETTINGS)
        again = detect_tissue(slide, SETTINGS)
    assert least <= tissue.mask.mean() <= most
    assert tissue.mask.tobytes() == again.mask.tobytes()


def test_white_steps_at_the_scan_border_are_not_tissue() -> None:
    path = shared_data_root() / "slides/aperio/tcga-cr-7395-01a-01-ts1.svs"
    with open_slide(path, SlideOptions(mpp=0.5)) as slide:
        tissue = detect_tissue(slide, SETTINGS)
        pixels = slide.read(tissue.frame.box, tissue.frame)
    # The upper left holds canvas, glass and the steps between them.
    corner = slice(20, 40), slice(5, 70)
    assert (pixels[corner].min(axis=2) == 255).any()
    assert (pixels[corner].min(axis=2) < 245).any()
    assert not tissue.mask[corner].any()
    assert not tissue.mask[-20:, :60].any()


@pytest.mark.parametrize("colour", GLASSES)
def test_a_blank_slide_has_no_tissue(colour: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    blank = glass(300, 300, colour)
    noisy = np.clip(blank + random.normal(0, 4, blank.shape), 0, 255).astype(np.uint8)
    shaded = (blank * np.linspace(1, 0.75, 300)[:, None]).astype(np.uint8)
    beside_canvas, framed, dusty = blank.copy(), blank.copy(), blank.copy()
    beside_canvas[:, 150:] = 255
    framed[:20], framed[:, -15:] = 0, (8, 6, 10)
    for y, x in random.integers(0, 297, (200, 2)):
        dusty[y : y + 3, x : x + 3] = random.integers(40, 120)
    for picture in (blank, noisy, shaded, beside_canvas, framed, dusty):
        assert not tissue_in_image(picture, 8.0, SETTINGS).any()


@given(st.sampled_from(GLASSES[:5]), st.integers(1, 40), st.integers(1, 40), st.floats(0.25, 50))
@settings(max_examples=30)
def test_a_small_blank_slide_has_no_tissue(colour: tuple[int, int, int], height: int, width: int, mpp: float) -> None:
    assert not tissue_in_image(glass(height, width, colour), mpp, SETTINGS).any()


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.25, 50))
@settings(max_examples=30)
@example(1, 1, 8.0)
def test_a_slide_full_of_tissue_is_tissue(height: int, width: int, mpp: float) -> None:
    assert tissue_in_image(glass(height, width, PINK), mpp, SETTINGS).all()


@pytest.mark.parametrize("mpp", [2.0, 4.0, 8.0, 15.5])
def test_specks_and_holes_are_judged_by_area_at_any_scale(mpp: float) -> None:
    pixels, centres = spotted(mpp, [110, 210, 800])
    middle = centres[2]
    pixels[disk(middle, 100 / mpp)] = GLASS
    found = tissue_in_image(pixels, mpp, SETTINGS)
    assert [bool(found[centre]) for centre in centres] == [False, True, True]
    area_mm2 = found.sum() * mpp**2 / 1e6
    assert area_mm2 == pytest.approx(np.pi * (0.4**2 + 0.105**2), rel=0.1)


def test_a_large_hole_stays_a_hole() -> None:
    pixels, centres = spotted(8.0, [1600])
    pixels[disk(centres[0], 300 / 8)] = GLASS
    assert not tissue_in_image(pixels, 8.0, SETTINGS)[centres[0]]


@given(st.floats(0.6, 1.0), st.floats(0, 0.25))
@settings(max_examples=15)
def test_the_result_does_not_depend_on_lamp_or_shadow(lamp: float, shadow: float) -> None:
    pixels, _ = spotted(8.0, [700, 900])
    light = lamp * np.linspace(1 - shadow, 1, pixels.shape[1])[:, None]
    found = tissue_in_image((pixels * light).astype(np.uint8), 8.0, SETTINGS)
    plain = tissue_in_image(pixels, 8.0, SETTINGS)
    assert measured.overlap(found, plain) > 0.97


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=15)
def test_the_result_does_not_depend_on_the_position_on_the_slide(x: int, y: int) -> None:
    piece, _ = spotted(8.0, [700, 900])
    height, width = piece.shape[:2]
    pixels = glass(height + 60, width + 60)
    pixels[y : y + height, x : x + width] = piece
    found = tissue_in_image(pixels, 8.0, SETTINGS)
    assert (found[y : y + height, x : x + width] == tissue_in_image(piece, 8.0, SETTINGS)).all()


def test_memory_grows_by_a_few_bytes_per_pixel() -> None:
    pixels, _ = spotted(8.0, [3000])
    pixels = np.tile(pixels, (6, 6, 1))[:1600, :1600].copy()
    pixels[800:820, 300:1300] = (10, 10, 10)
    tracemalloc.start()
    found = tissue_in_image(pixels, 8.0, SETTINGS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.any()
    assert not found[805:815, 310:1290].any()
    assert peak_bytes < 25 * found.size + 80e6


def test_white_is_that_of_the_glass_not_of_the_canvas() -> None:
    pixels, _ = spotted(8.0, [900])
    pixels[:, :60] = 255
    white = white_of(pixels)
    assert white is not None
    assert white.tolist() == list(GLASS)
    assert white_of(glass(20, 20, (255, 255, 255))) is None


class BoundedReader:
    """A slide that is all tissue, of which only a part was scanned."""

    def __init__(self, bounds: Box) -> None:
        size = PixelSize(2.0, 4.0, "test")
        self.info = SlideInfo("bounded", "test", "test", (Level(400, 300, 1, 1),), size, bounds, None, "test")

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        return glass(*box_level.shape, PINK)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("detect", [True, False])
def test_only_the_scanned_part_is_tissue(detect: bool) -> None:
    bounds = Box(100, 40, 200, 120)
    slide = Slide(BoundedReader(bounds), Path("bounded"), SlideOptions())
    tissue = detect_tissue(slide, TissueSettings(detect=detect))
    left, top = tissue.frame.from_level0([[bounds.x, bounds.y]])[0]
    right, bottom = tissue.frame.from_level0([[bounds.right, bounds.bottom]])[0]
    rows, columns = np.nonzero(tissue.mask)
    assert tissue.mask.shape == (tissue.frame.height, tissue.frame.width)
    assert tissue.area_mm2 == pytest.approx(bounds.area * 2.0 * 4.0 / 1e6, rel=0.05)
    assert (columns.min(), rows.min()) == (int(left), int(top))
    assert columns.max() < right <= columns.max() + 1
    assert rows.max() < bottom <= rows.max() + 1


def test_the_mask_is_never_finer_than_the_slide() -> None:
    slide = open_slide(glass(30, 40), SlideOptions(mpp=20.0))
    tissue = detect_tissue(slide, SETTINGS)
    assert tissue.frame.mpp_x == 20.0
    assert not tissue.mask.any()


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 80), st.integers(1, 80))
def test_area_is_that_of_tissue_in_the_region(x: int, y: int, width: int, height: int) -> None:
    mask = np.zeros((10, 12), bool)
    mask[2:8, 3:9] = True
    frame = Frame(12, 10, 8.0, 8.0, 4.0, 4.0)
    region = shapely.box(x, y, x + width, y + height)
    tissue = shapely.box(3 * 4.0, 2 * 4.0, 9 * 4.0, 8 * 4.0)
    expected_um2 = shapely.intersection(region, tissue).area * 4
    assert TissueMask(mask, frame, region).area_mm2 == pytest.approx(expected_um2 / 1e6)
    assert TissueMask(mask, frame).area_mm2 == pytest.approx(36 * 64 / 1e6)
