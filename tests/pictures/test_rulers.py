"""The picture of rulers: every assumed pixel size has a row, and microns are equally large in all of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.small_slides import tissue_with_nuclei
from wsi_parse.pictures.rulers import ASSUMED_MPP, draw_rulers
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.dense_fields import dense_fields
from wsi_parse.tissue.detection import detect_tissue


def drawn(folder: Path, nearest: float | None, width: int = 1300) -> np.ndarray:
    pixels, _ = tissue_with_nuclei(width, 1100)
    with open_slide(pixels, SlideOptions(mpp=0.5)) as slide:
        fields = dense_fields(slide, detect_tissue(slide, TissueSettings()))
        draw_rulers(slide, fields, "It is about 0.5 µm per pixel.", nearest, folder / "r.png")
    return np.asarray(Image.open(folder / "r.png").convert("RGB"))


def mark_rows(page: np.ndarray) -> np.ndarray:
    """Rows in which the left edge has the colour of the mark."""
    return np.flatnonzero((page[:, 0] != page[0, 0]).any(axis=1))


@pytest.mark.parametrize(("nearest", "row"), [(0.2, 0), (0.55, 1), (1.3, 2), (9.0, 3)])
def test_the_row_nearest_to_the_estimate_is_marked(tmp_path: Path, nearest: float, row: int) -> None:
    page = drawn(tmp_path, nearest)
    marked = mark_rows(page)
    assert len(marked)
    below_the_text = page.shape[0] * 0.09
    assert int((marked.mean() - below_the_text) / (page.shape[0] * 0.9) * len(ASSUMED_MPP)) == row


def test_without_an_estimate_no_row_is_marked(tmp_path: Path) -> None:
    assert not len(mark_rows(drawn(tmp_path, None)))


def test_one_field_is_enough(tmp_path: Path) -> None:
    page = drawn(tmp_path, 0.5, width=500)
    assert page.shape[0] > 1000
