"""Pictures: position, size, texts, the same bytes each time; also if nothing was found."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image, ImageDraw

from tests.one_pass import ArrayReader
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures import page_layout
from wsi_parse.pictures.density import Density
from wsi_parse.pictures.overlay import Overlay, draw_preview
from wsi_parse.pictures.page_layout import bar_um, draw_text, text_px
from wsi_parse.pictures.view import Canvas, View
from wsi_parse.prompts import Prompt
from wsi_parse.slides.slide import Slide, SlideOptions
from wsi_parse.tissue.mask import TissueMask

NUCLEI = Prompt.parse("nuclei")
GLANDS = Prompt.parse("glands")
CLASSES, BOTH = ClassTable.of([NUCLEI]), ClassTable.of([NUCLEI, GLANDS])


def slide_of(width: int, height: int, mpp: float = 0.5, bounds: Box | None = None) -> Slide:
    pixels = np.full((height, width, 3), 230, np.uint8)
    return Slide(ArrayReader(pixels, (mpp, mpp), bounds), pixels, SlideOptions())


def tissue_of(slide: Slide, *, found: bool = True) -> TissueMask:
    frame = slide.frame(8.0)
    mask = np.zeros(frame.box.shape, bool)
    mask[2:-2, 2:-2] = found
    return TissueMask(mask, frame)


def discs(centres: list[tuple[float, float]], radius: float = 8, prompt: int = 0) -> ObjectBatch:
    count = len(centres)
    shapes = shapely.buffer(shapely.points(np.array(centres, float).reshape(-1, 2)), radius)
    return ObjectBatch(shapes, np.full(count, 2 * prompt, np.int16), np.array(["id"] * count, object), {})


def crowd(seed: int, count: int, low: float, high: float) -> ObjectBatch:
    return discs([*map(tuple, np.random.default_rng(seed).uniform(low, high, (count, 2)))])


class Given:
    """Batches as a source of objects; it notes what it is asked for."""

    def __init__(self, given: Sequence[ObjectBatch], classes: ClassTable) -> None:
        self.given, self.classes, self.steps = given, classes, len(given)
        self.streams, self.asked = 0, list[Box]()

    def batches(self) -> Iterator[ObjectBatch]:
        self.streams += 1
        return iter(self.given)

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        self.asked.append(box_level0)
        return iter(self.given)


def draw(
    path: Path, slide: Slide, tissue: TissueMask, given: Sequence[ObjectBatch], classes: ClassTable, side: int
) -> Given:
    source = Given(given, classes)
    overlay = Overlay(path, slide, tissue, source, side)
    for batch in source.batches():
        overlay.write(batch)
    overlay.finish()
    return source


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are drawn on pictures."""
    texts: list[str] = []

    def recording(draw: ImageDraw.ImageDraw, xy: Any, text: str, *more: Any, **options: Any) -> float:
        texts.append(text)
        return draw_text(draw, xy, text, *more, **options)

    monkeypatch.setattr(page_layout, "draw_text", recording)
    return texts


@pytest.mark.parametrize("size_px", [13, 20, 30])
def test_micro_and_square_are_drawn_although_the_font_lacks_them(size_px: int) -> None:
    def ink(text: str) -> np.ndarray:
        picture = Image.new("RGB", (2 * size_px, 2 * size_px), "white")
        draw_text(ImageDraw.Draw(picture), (4, size_px), text, (0, 0, 0), size_px)
        return np.asarray(picture.convert("L")) < 128

    micro, letter_u, square = ink("µ"), ink("u"), ink("²")
    below = slice(size_px + 1, None)
    assert micro[below].any(), "the tail goes below the baseline"
    assert not letter_u[below].any()
    assert micro[: size_px + 1][letter_u[: size_px + 1]].all(), "above the baseline it is a u"
    assert square[: size_px - size_px // 3].any(), "raised"
    assert not square[size_px - size_px // 4 :].any()


def test_overlay_has_counts_areas_and_scale_bars(tmp_path: Path, words: list[str]) -> None:
    slide = slide_of(4000, 3000)
    batch, regions = crowd(0, 300, 2000, 2600), discs([(800, 800)], radius=300, prompt=1)
    draw(tmp_path / "o.png", slide, tissue_of(slide), [batch, regions], BOTH, 800)
    with Image.open(tmp_path / "o.png") as page:
        assert page.format == "PNG"
        assert page.width > 800 + 336, "the slide, and a field beside it"
    assert "research use only, not for clinical decisions" in words
    assert any(text.startswith("Nucleus 300 (") and text.endswith("/mm²)") for text in words)
    assert any(text.startswith("Gland 1 (") for text in words)
    assert any(text.startswith("tissue 2.") and text.endswith(" mm²") for text in words)
    assert {"500 µm", "50 µm"} <= set(words)
    assert [path.name for path in tmp_path.iterdir()] == ["o.png"]


def test_heading_and_legend_tell_what_was_looked_for_and_what_is_sure(tmp_path: Path, words: list[str]) -> None:
    slide = slide_of(2000, 1500)
    unsure = replace(discs([(500, 500), (700, 700)]), class_index=np.ones(2, np.int16))
    source = Given([discs([(300, 300)]), unsure], BOTH)
    overlay = Overlay(tmp_path / "o.png", slide, tissue_of(slide), source, 800, model="mini")
    for batch in source.batches():
        overlay.write(batch)
    overlay.finish()
    assert {slide.name, "prompts: nuclei, glands", "model: mini"} <= set(words)
    assert any(text.startswith("Nucleus 3 (") and text.endswith("/mm²): 1 sure") for text in words)
    assert "2 unsure (Nucleus)" in words
    assert any(text.startswith("Gland 0 (") and text.endswith("/mm²)") for text in words)


def test_a_region_of_interest_fills_the_picture_and_what_is_outside_is_pale(tmp_path: Path, words: list[str]) -> None:
    slide = slide_of(4000, 3000)
    tissue = replace(tissue_of(slide), region=shapely.Point(2000, 1500).buffer(600))
    view = View.of_slide(slide, 1000, tissue.region)
    assert view.box_level0.contains(Box(1400, 900, 1200, 1200))
    assert max(view.box_level0.width, view.box_level0.height) < 1400
    draw(tmp_path / "o.png", slide, tissue, [discs([(2000, 1500)])], CLASSES, 1000)
    assert "searched region" in words
    with Image.open(tmp_path / "o.png") as page:
        grey = np.asarray(page.convert("L")).astype(int)
    # Below the heading: the corner of the picture lies outside of the circle, and the middle inside.
    assert grey[90, 40] > grey[400, 400] + 5


@pytest.mark.parametrize("region", [shapely.Point(5000, 5000).buffer(9), shapely.Polygon(), shapely.box(0, 0, 4, 4)])
def test_a_region_that_is_small_empty_or_outside_still_gives_a_picture(region: Any) -> None:
    slide = slide_of(2000, 1500)
    view = View.of_slide(slide, 800, region)
    assert min(view.box.width, view.box.height) >= 300
    assert view.frame.box.contains(view.box)


def test_outlines_on_magenta_tissue_have_a_light_seam(tmp_path: Path) -> None:
    pixels = np.full((400, 400, 3), (180, 40, 130), np.uint8)
    slide = Slide(ArrayReader(pixels, (0.5, 0.5), None), pixels, SlideOptions())
    draw(tmp_path / "o.png", slide, tissue_of(slide, found=False), [discs([(200, 200)], 60)], CLASSES, 400)
    with Image.open(tmp_path / "o.png") as page:
        # From the left of the picture to the middle of the disc, at its height.
        line = np.asarray(page.convert("L")).astype(int)[page.height // 2 - 8, 40:200]
    ground, edge = line[0], int(np.argmax(line))
    assert (line[:80] == ground).all()
    assert line[edge] > ground + 30
    assert line[edge : edge + 8].min() < ground - 10, "the line itself is beside the seam"


@pytest.mark.parametrize("size", [(2048, 2048), (8192, 1000), (2900, 2048), (1366, 700), (900, 2048)])
def test_text_is_readable_where_the_page_is_fitted_to_a_laptop(size: tuple[int, int]) -> None:
    assert text_px(*size) * min(1.0, 1366 / size[0]) >= 13


def test_bytes_are_the_same_each_time_however_batched(tmp_path: Path) -> None:
    slide = slide_of(3000, 3000)
    batch = crowd(1, 200, 100, 2900)
    parts = (batch.part(0, 50), batch.part(50, 200))
    for name, given in (("a.png", (batch,)), ("b.png", parts)):
        draw(tmp_path / name, slide, tissue_of(slide), given, CLASSES, 500)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("width", "height", "side"), [(64, 64, 2048), (40, 900, 512), (5000, 60, 512), (3000, 2000, 64)]
)
@pytest.mark.parametrize("count", [0, 40])
def test_any_shape_of_slide(tmp_path: Path, width: int, height: int, side: int, count: int) -> None:
    slide = slide_of(width, height)
    random = np.random.default_rng(0)
    batch = discs([*map(tuple, random.uniform(0, (width, height), (count, 2)))])
    draw(tmp_path / "o.png", slide, tissue_of(slide, found=count > 0), [batch], CLASSES, side)
    with Image.open(tmp_path / "o.png") as page:
        assert page.width >= min(width, side)
        assert page.height >= 1


def test_no_batches_at_all(tmp_path: Path) -> None:
    slide = slide_of(600, 600)
    draw(tmp_path / "o.png", slide, tissue_of(slide, found=False), [], CLASSES, 300)
    assert (tmp_path / "o.png").exists()


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    class Failing(Given):
        def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
            yield from super().batches_in(box_level0)
            raise RuntimeError

    slide = slide_of(4000, 4000)
    overlay = Overlay(tmp_path / "o.png", slide, tissue_of(slide), Failing([discs([(500, 500)])], CLASSES), 300)
    overlay.write(discs([(500, 500)]))
    with pytest.raises(RuntimeError):
        overlay.finish()
    assert not list(tmp_path.iterdir())


def test_the_close_up_asks_for_its_own_box_and_no_more(tmp_path: Path) -> None:
    """A field of 250 µm is 500 px of this slide; nothing far from it is read for it."""
    slide = slide_of(8000, 8000)
    batch = crowd(0, 200, 6000, 6400)
    source = draw(tmp_path / "o.png", slide, tissue_of(slide), [crowd(1, 50, 0, 8000), batch], CLASSES, 800)
    (box_level0,) = source.asked
    assert 500 <= min(box_level0.width, box_level0.height) <= 520
    assert max(box_level0.width, box_level0.height) < 1100
    assert box_level0.intersection(Box(6000, 6000, 400, 400)).area > 0.8 * 400**2
    assert source.streams == 1


def test_order_decides_what_lies_on_top_not_the_class(tmp_path: Path) -> None:
    slide = slide_of(400, 400)
    below, above = discs([(200, 200)], 60, prompt=1), discs([(200, 200)], 40, prompt=0)
    both = ObjectBatch(
        np.concatenate([below.geometry, above.geometry]),
        np.concatenate([below.class_index, above.class_index]),
        np.concatenate([below.ids, above.ids]),
        {},
    )
    draw(tmp_path / "a.png", slide, tissue_of(slide, found=False), [below, above], BOTH, 400)
    draw(tmp_path / "b.png", slide, tissue_of(slide, found=False), [both], BOTH, 400)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_outlines_are_drawn_where_the_object_is() -> None:
    slide = slide_of(1000, 800, bounds=Box(200, 100, 600, 500))
    view = View.of_slide(slide, 300)
    assert (view.box.width, view.box.height) == (300, 250), "what was scanned, no more"
    canvas = Canvas(view)
    ring = shapely.box(300, 200, 500, 400).difference(shapely.box(350, 250, 450, 350))
    canvas.shapes([ring], (200, 0, 0), fill=255, width_px=1)
    red = np.asarray(canvas.over(Image.new("RGB", (300, 250), "white")))[..., 1] < 128
    rows, columns = np.nonzero(red)
    assert abs(np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) - (50, 50, 150, 150)).max() <= 1
    assert red.sum() == pytest.approx(10_000 - 2_500, rel=0.07), "the hole stays clear"


def test_a_hole_shows_what_lies_below() -> None:
    slide = slide_of(200, 200)
    canvas = Canvas(View.of_slide(slide, 200))
    canvas.shapes([shapely.box(80, 80, 120, 120)], (0, 0, 200), fill=255, width_px=1)
    canvas.shapes([shapely.box(20, 20, 180, 180) - shapely.box(60, 60, 140, 140)], (200, 0, 0), fill=255, width_px=1)
    drawn = canvas.over(Image.new("RGB", (200, 200), "white"))
    assert drawn.getpixel((100, 100)) == (0, 0, 200)
    assert drawn.getpixel((70, 70)) == (255, 255, 255)
    assert drawn.getpixel((30, 30)) == (200, 0, 0)


def test_many_small_objects_become_a_tint_of_their_class() -> None:
    slide = slide_of(8000, 8000)
    view = View.of_slide(slide, 200)
    density = Density(view, BOTH)
    large = density.add(crowd(0, 2000, 1000, 3000))
    assert not large.any()
    assert density.count.sum() == 2000
    paper = Image.new("RGB", (200, 200), "white")
    tinted = np.asarray(density.tint(paper)).astype(int)
    inside, outside = tinted[30:70, 30:70].mean(axis=(0, 1)), tinted[120:, 120:].mean(axis=(0, 1))
    assert inside[2] > inside[0] + 40, "blue"
    assert (outside == 255).all()


def test_the_field_is_the_busiest() -> None:
    slide = slide_of(4000, 4000)
    density = Density(View.of_slide(slide, 400), CLASSES)
    density.add(crowd(0, 200, 0, 4000))
    density.add(crowd(1, 200, 2900, 3100))
    middle = density.busiest(50, 50)
    assert middle is not None
    assert np.abs(middle - 3000).max() < 250


def test_preview_counts_tiles(tmp_path: Path, words: list[str]) -> None:
    slide = slide_of(3000, 2000)
    boxes = [Box(x, y, 1000, 1000) for y in (0, 1000) for x in (0, 1000, 2000)]
    draw_preview(slide, tissue_of(slide), boxes, tmp_path / "p.png")
    draw_preview(slide, tissue_of(slide, found=False), [], tmp_path / "empty.png")
    assert {"6 tiles", "0 tiles", "research use only, not for clinical decisions"} <= set(words)
    with Image.open(tmp_path / "p.png") as page:
        assert page.width > page.height


@pytest.mark.parametrize("width_um", [0.5, 3, 260, 999, 1000, 24_999, 1e5])
def test_scale_bar_is_round_and_fits(width_um: float) -> None:
    assert width_um / 10 <= bar_um(width_um) <= width_um / 4
