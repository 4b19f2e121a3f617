"""Dense fields: where they lie, and what is left out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.small_slides import tissue_with_nuclei
from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box, Frame
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.dense_fields import dense_fields
from wsi_parse.tissue.detection import detect_tissue


def boxes_of(pixels: NDArray[np.uint8], mpp: float = 0.5) -> list[Box]:
    with open_slide(pixels, SlideOptions(mpp=mpp)) as slide:
        return [field.box_level0 for field in dense_fields(slide, detect_tissue(slide, TissueSettings()))]


def half_with_nuclei() -> NDArray[np.uint8]:
    """Tissue everywhere, nuclei in the right half only."""
    pixels, _ = tissue_with_nuclei(2400, 1300)
    pixels[100:-100, 100:1200] = np.clip(
        np.array((225, 170, 205)) + np.random.default_rng(1).normal(0, 4, (1100, 1100, 1)), 0, 255
    )
    return pixels


def test_fields_lie_in_the_slide_apart_from_each_other() -> None:
    pixels, _ = tissue_with_nuclei(2300, 1700)
    boxes = boxes_of(pixels)
    assert 1 < len(boxes) <= 8
    assert all(Box(0, 0, 2300, 1700).contains(box) for box in boxes)
    assert not any(a.intersection(b).area for a in boxes for b in boxes if a != b)


def test_fields_with_nuclei_come_first() -> None:
    boxes = boxes_of(half_with_nuclei())
    assert all(box.x + box.width / 2 > 1200 for box in boxes[:3])


def test_they_do_not_depend_on_the_pixel_size() -> None:
    pixels, _ = tissue_with_nuclei(2300, 1700)
    assert boxes_of(pixels, 0.25) == boxes_of(pixels, 0.5) == boxes_of(pixels, 1.0)


def test_the_densest_point_is_beside_nuclei() -> None:
    pixels, centres = tissue_with_nuclei(700, 700, spacing=60)
    with open_slide(pixels, SlideOptions(mpp=0.5)) as slide:
        fields = dense_fields(slide, detect_tissue(slide, TissueSettings()))
    point = fields[0].densest_point()
    assert np.hypot(*(centres - point).T).min() < 60
    assert fields[0].box_level0.contains(Box(*point, 1, 1))


def test_no_tissue_has_no_fields() -> None:
    assert boxes_of(np.full((700, 900, 3), 243, np.uint8)) == []


def test_a_small_slide_is_one_field() -> None:
    pixels, _ = tissue_with_nuclei(620, 580, spacing=30)
    assert boxes_of(pixels) == [Box(0, 0, 620, 580)]


def test_what_cannot_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, _ = tissue_with_nuclei(2300, 1700)
    with open_slide(pixels, SlideOptions(mpp=0.5)) as slide:
        tissue = detect_tissue(slide, TissueSettings())
        whole = [field.box_level0 for field in dense_fields(slide, tissue)]
        read = slide.read

        def broken(box: Box, frame: Frame | None = None) -> NDArray[np.uint8]:
            if box == whole[0]:
                raise SlideReadError("A tile is damaged.", "Copy the slide again.")
            return read(box, frame)

        monkeypatch.setattr(slide, "read", broken)
        found = [field.box_level0 for field in dense_fields(slide, tissue)]
    assert whole[0] not in found
    assert set(whole[1:]) <= set(found)
