"""The two areas: what is searched and what is tissue; stains other than H&E; black where nothing was scanned."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk

from benchmarks import tissue as measured
from tests.shared import shared_data_root
from tests.tissue.stains import BLUES, immunostained
from wsi_parse.cautions import no_tissue
from wsi_parse.settings import TissueSettings
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.tissue.detection import detect_tissue, tissue_in_image
from wsi_parse.tissue.mask import TissueMask

SETTINGS = TissueSettings()
PINK = (220, 130, 180)
GLASS = (242, 241, 243)


def found_in(pixels: NDArray[np.uint8], mpp: float, **settings: object) -> TissueMask:
    return detect_tissue(open_slide(pixels, SlideOptions(mpp=mpp)), TissueSettings(**settings))


def fibres(height: int = 900, width: int = 900) -> NDArray[np.uint8]:
    """Draw pink fibres of 48 µm with gaps of 80 µm between them, on glass, at 8 µm/px."""
    pixels = np.full((height // 8, width // 8 * 8, 3), GLASS, np.uint8)
    for left in range(20, pixels.shape[1] - 26, 16):
        pixels[20:-20, left : left + 6] = PINK
    return pixels


@pytest.mark.whole
def test_the_areas_of_real_slides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "DATA", shared_data_root())
    rows = list(measured.area_rows())
    assert len(rows) == 19
    assert [row for row in rows if not row.holds] == []


def test_gaps_are_searched_and_are_no_tissue() -> None:
    tissue = found_in(fibres(), 8.0)
    rows, columns = np.nonzero(tissue.tissue)
    piece = tissue.mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert piece.all()
    assert tissue.area_mm2 < 0.6 * tissue.search_mm2
    assert not (tissue.tissue & ~tissue.mask).any()


def test_both_areas_are_those_in_the_region() -> None:
    import dataclasses

    import shapely

    whole = found_in(fibres(), 8.0)
    half = dataclasses.replace(whole, region=shapely.box(0, 0, whole.frame.width * whole.frame.scale_x, 60))
    assert 0 < half.area_mm2 < whole.area_mm2
    assert 0 < half.search_mm2 < whole.search_mm2
    assert half.area_mm2 < 0.6 * half.search_mm2


def test_without_detection_everything_is_searched_and_glass_is_still_no_tissue() -> None:
    pixels = fibres()
    tissue = found_in(pixels, 8.0, detect=False)
    assert tissue.mask.all()
    assert tissue.area_mm2 == pytest.approx(found_in(pixels, 8.0).area_mm2, rel=0.02)


@pytest.mark.parametrize("detect", [True, False])
def test_a_blank_slide_is_cautioned(detect: bool) -> None:
    tissue = found_in(np.full((200, 300, 3), GLASS, np.uint8), 8.0, detect=detect)
    assert tissue.cautions == (no_tissue(),)
    assert tissue.area_mm2 == 0


@pytest.mark.parametrize("counterstain", BLUES)
@pytest.mark.parametrize("positive", [0.0, 0.3, 0.8])
def test_immunohistochemistry_is_tissue(counterstain: str, positive: float) -> None:
    """A counterstain absorbs red most, as blue ink does."""
    with open_slide(shared_data_root() / "slides/aperio/CMU-1-Small-Region.svs") as slide:
        pixels = slide.read(slide.level0_frame.box)
        plain = detect_tissue(slide, SETTINGS)
    tissue = found_in(immunostained(pixels, counterstain, positive), 0.499)
    assert measured.overlap(tissue.mask, plain.mask) > 0.9
    assert tissue.area_mm2 > 0.7 * plain.area_mm2


def test_blue_ink_on_immunohistochemistry_is_no_tissue() -> None:
    with open_slide(shared_data_root() / "slides/aperio/CMU-1-Small-Region.svs") as slide:
        stained = immunostained(slide.read(slide.level0_frame.box), "mayer", 0.2)
    stained[1000:1400] = (stained[1000:1400] * 10.0 ** -np.array(measured.INKS["blue"])).astype(np.uint8)
    mask = found_in(stained, 0.499).mask
    rows = slice(round(1040 * mask.shape[0] / 2967), round(1360 * mask.shape[0] / 2967))
    assert mask[rows].mean() < 0.02
    assert mask[: rows.start // 2].mean() > 0.1


@pytest.mark.parametrize("black", [(0, 0, 0), (8, 6, 10), (25, 25, 25)])
def test_black_where_nothing_was_scanned_takes_no_tissue(black: tuple[int, int, int]) -> None:
    """A round core in a square of black, as some scanners fill it: ink would have a rim of 60 µm."""
    pixels = np.full((500, 500, 3), black, np.uint8)
    core = np.zeros((500, 500), bool)
    core[disk((250, 250), 200)] = True
    pixels[core] = PINK
    pixels[240:260, 240:260] = GLASS
    mask = tissue_in_image(pixels, 2.0, SETTINGS)
    assert mask[core].mean() > 0.99
    assert mask[~core].mean() < 0.03


def test_wide_black_inside_a_slide_is_no_ink() -> None:
    pixels = np.full((700, 700, 3), GLASS, np.uint8)
    pixels[100:600, 100:600] = PINK
    pixels[200:500, 200:500] = 0
    mask = tissue_in_image(pixels, 8.0, SETTINGS)
    assert mask[102:198, 102:598].all()
    assert not mask[205:495, 205:495].any()
    # Beside a stroke of ink, a rim is left out.
    pixels[200:500, 200:500] = PINK
    pixels[340:360, 150:550] = 0
    assert not tissue_in_image(pixels, 8.0, SETTINGS)[335:340, 200:500].any()


def test_a_loose_cell_near_tissue_is_searched_and_one_far_away_is_not() -> None:
    pixels = np.full((300, 300, 3), GLASS, np.uint8)
    pixels[100:200, 100:150] = PINK
    pixels[150, 158] = pixels[150, 280] = (140, 100, 190)
    tissue = found_in(pixels, 8.0)
    assert tissue.mask[150, 158]
    assert not tissue.mask[150, 280]


def test_the_outline_has_the_tissue_area(tmp_path: Path) -> None:
    import shapely

    from wsi_parse.objects.tissue_outline import tissue_outline

    pixels = np.full((300, 300, 3), GLASS, np.uint8)
    pixels[100:200, 100:200] = PINK
    tissue = found_in(pixels, 8.0)
    outlined_mm2 = sum(shapely.area(areas).sum() for areas in tissue_outline(tissue)) * 64 / 1e6
    assert outlined_mm2 == pytest.approx(tissue.area_mm2, rel=0.03)
