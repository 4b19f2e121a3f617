"""The outline of the tissue on the page: bounded, and whole, whatever holes the tissue has."""

import numpy as np

from tests.report.pages import NUCLEI, slide_of
from wsi_parse.geometry import Frame
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.report.fields import MAX_POINTS
from wsi_parse.report.layers import Layers
from wsi_parse.tissue.mask import TissueMask

# Two pixels of the mask for each pixel of the picture.
SIDE = 3200


def path_of(mask: np.ndarray) -> str:
    slide = slide_of(1600, 1600)
    frame = Frame(SIDE, SIDE, 0.25, 0.25, 0.5, 0.5)
    return Layers(slide, TissueMask(mask, frame), ClassTable.of((NUCLEI,))).tissue_path()


def test_a_sieve_is_drawn_without_the_holes_that_cannot_be_seen() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:-20, 20:-20] = True
    # 90,000 holes below a pixel of the picture, and one large one near the lower right corner.
    mask[100:-100:10, 100:-100:10] = False
    mask[-600:-200, -600:-200] = False
    assert path_of(mask).count("M") == 2


def test_of_many_holes_the_largest_are_drawn() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:-20, 20:-20] = True
    for row, column in np.ndindex(5, 5):
        mask[100 + row : -100 : 32, 100 + column : -100 : 32] = False
    path = path_of(mask)
    assert path.count("M") == path.count("Z") == 4000, "of 8,836 holes, and each ring is whole"


def test_no_part_of_the_slide_is_left_out_for_the_number_of_points() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:-20, 20:-20] = True
    # 3,481 crosses of many corners, the lower ones larger.
    for row, column in np.ndindex(59, 59):
        y, x = 60 + 52 * row, 60 + 52 * column
        arm = 8 + row // 6
        for step in range(-arm, arm + 1, 4):
            mask[y + step : y + step + 2, x - arm : x + arm] = mask[y - arm : y + arm, x] = False
    path = path_of(mask)
    points = path.count("L") + path.count("M") + path.count("Z")
    assert 0.9 * MAX_POINTS < points <= MAX_POINTS
    heights = [float(part.split("L")[0].split()[1]) for part in path.split("M")[1:]]
    assert max(heights) > 0.95 * SIDE / 2, "the largest crosses, at the lower edge, are drawn"
    assert path.endswith("Z"), "each ring is whole"


def test_no_tissue_has_no_outline() -> None:
    assert path_of(np.zeros((SIDE, SIDE), bool)) == ""


def test_a_speck_alone_is_drawn() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40, 40] = True
    assert path_of(mask).count("M") == 1
