"""What OpenSlide users know: sizes of levels, thumbnails, and no way to the metadata of a patient."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest

from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box, Frame
from wsi_parse.slides import SlideOptions, open_slide


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.scn"])
def test_sizes_of_levels_are_those_of_openslide(painted: Path, name: str) -> None:
    with open_slide(painted / name) as slide, openslide.OpenSlide(painted / name) as reference:
        assert slide.dimensions == reference.dimensions
        assert slide.level_count == reference.level_count
        assert slide.level_dimensions == reference.level_dimensions
        assert slide.level_downsamples == pytest.approx(reference.level_downsamples)


def test_a_thumbnail_has_the_proportions_and_colours_of_openslide(painted: Path) -> None:
    with open_slide(painted / "a.svs") as slide, openslide.OpenSlide(painted / "a.svs") as reference:
        for size in ((400, 400), (300, 50), (1, 1), (17, 900)):
            ours, theirs = slide.get_thumbnail(size), reference.get_thumbnail(size)
            assert ours.mode == "RGB"
            assert np.abs(np.subtract(ours.size, theirs.size)).max() <= 1
            assert all(side <= limit for side, limit in zip(ours.size, size, strict=True))
        ours, theirs = slide.get_thumbnail((128, 128)), reference.get_thumbnail((128, 128))
        assert ours.size == theirs.size
        # OpenSlide's is sharper (Lanczos), ours is the mean of each area.
        apart = np.asarray(ours, float) - np.asarray(theirs, float)
        assert abs(apart.mean()) < 0.5
        assert np.abs(apart).mean() < 5


def test_a_thumbnail_is_never_enlarged_and_needs_no_pixel_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    slide = open_slide(pixels)
    assert np.array_equal(np.asarray(slide.get_thumbnail((500, 500))), pixels)
    assert slide.get_thumbnail((30, 30)).size == (30, 20)
    with pytest.raises(UsageError, match="no area"):
        slide.get_thumbnail((0, 10))


def test_without_a_frame_level_0_is_read_as_it_is(painted: Path) -> None:
    with open_slide(painted / "a.svs") as slide:
        box = Box(100, 200, 64, 32)
        assert np.array_equal(slide.read(box), slide.read(box, slide.frame(slide.pixel_size.x_um)))
        assert slide.level0_frame == Frame(1536, 1120, 0.25, 0.25, 1.0, 1.0)
    unknown = open_slide(np.full((40, 60, 3), 207, np.uint8))
    assert unknown.read(Box(10, 10, 5, 5)).tolist() == np.full((5, 5, 3), 207).tolist()


def test_the_frame_of_level_0_keeps_both_pixel_sizes() -> None:
    from tests.one_pass import ArrayReader
    from wsi_parse.slides import Slide

    pixels = np.zeros((30, 20, 3), np.uint8)
    slide = Slide(ArrayReader(pixels, (0.25, 0.5)), pixels, SlideOptions())
    assert slide.level0_frame == Frame(20, 30, 0.25, 0.5, 1.0, 1.0)


@pytest.mark.parametrize("given", [(0, 0, 10, 10), [0, 0, 10, 10], (0, 0)])
def test_four_numbers_are_refused_with_what_is_meant(given: object) -> None:
    slide = open_slide(np.full((40, 60, 3), 207, np.uint8))
    with pytest.raises(UsageError, match=r"Box, not [(\[]0, 0.*wsi_parse\.Box\(x, y, width, height\)"):
        slide.read(given)  # type: ignore[arg-type]


def test_metadata_and_label_images_cannot_be_reached(painted: Path) -> None:
    with open_slide(painted / "a.svs") as slide:
        for name in ("properties", "associated_images", "color_profile"):
            assert not hasattr(slide, name)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda slide: slide.read(Box(0.5, 0, 8, 8)), "A rectangle is a Box, not .* in whole pixels"),
        (lambda slide: slide.read(Box(0, 0, 8, 8), 1.0), r"The scale of a read is a Frame, not 1\.0.*slide\.frame\("),
        (lambda slide: slide.frame(-1), "-1 is not a scale"),
        (lambda slide: slide.frame("1"), "'1' is not a scale"),
        (lambda slide: open_slide(slide.source, 0.25), r"SlideOptions, not 0\.25"),
        (lambda slide: open_slide(slide.source, {"mpp": 0.25}), r"Write them as wsi_parse\.SlideOptions"),
    ],
)
def test_what_is_given_wrongly_is_named(wrong: Callable[[Any], object], words: str) -> None:
    slide = open_slide(np.full((40, 60, 3), 207, np.uint8), SlideOptions(mpp=0.5))
    with pytest.raises(UsageError, match=words):
        wrong(slide)


@pytest.mark.parametrize("name", ["read_region", "properties"])
def test_names_of_openslide_that_are_not_here_say_what_is(name: str) -> None:
    slide = open_slide(np.full((40, 60, 3), 207, np.uint8))
    with pytest.raises(AttributeError, match=rf"no {name}.*(slide\.read\(Box|patient)"):
        getattr(slide, name)
    assert not hasattr(slide, name)
    with pytest.raises(AttributeError, match="dimension"):
        _ = slide.dimension


def test_a_closed_slide_says_so(painted: Path) -> None:
    for source in (painted / "a.svs", painted / "a.ome.tif", np.full((40, 60, 3), 207, np.uint8)):
        slide = open_slide(source)
        slide.close()
        for read in (slide.read, slide.read_readable):
            with pytest.raises(UsageError, match=r"is closed\. Open it again with wsi_parse\.open_slide"):
                read(Box(0, 0, 8, 8))
        with pytest.raises(UsageError, match="is closed"):
            slide.get_thumbnail((8, 8))


def test_a_read_that_no_machine_holds_is_refused() -> None:
    slide = open_slide(np.full((40, 60, 3), 207, np.uint8))
    with pytest.raises(UsageError, match="too large to be read at once"):
        slide.read(Box(0, 0, 1_000_000, 1_000_000))
