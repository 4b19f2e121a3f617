"""The outlines of the tissue are traced once, and are the same with and without shapes of shapely."""

import numpy as np
import pytest
import shapely

import wsi_parse.tissue.mask
from wsi_parse.contours import polygons_of_mask, ring_areas, rings_of
from wsi_parse.geometry import Frame
from wsi_parse.tissue.mask import TissueMask

FRAME = Frame(60, 40, 8.0, 8.0, 32.0, 32.0)


def mask_with_holes() -> np.ndarray:
    mask = np.zeros(FRAME.box.shape, bool)
    mask[4:36, 3:50] = True
    mask[10:14, 8:12] = mask[20, 20] = mask[2, 55] = False
    mask[1:3, 52:58] = True
    return mask


def test_rings_are_those_of_the_polygons() -> None:
    tissue = TissueMask(mask_with_holes(), FRAME)
    polygons = polygons_of_mask(tissue.tissue)
    points, offsets = tissue.rings_level0
    known, known_offsets = rings_of(polygons)
    assert sorted(np.diff(offsets)) == sorted(np.diff(known_offsets))
    assert len(offsets) == 5
    assert {tuple(point) for point in points} == {tuple(point) for point in FRAME.to_level0(known)}
    assert np.array_equal(points[offsets[:-1]], points[offsets[1:] - 1]), "rings are closed"
    areas = np.sort(ring_areas(points, offsets))
    assert areas == pytest.approx(np.sort(shapely.area(shapely.polygons(shapely.get_rings(polygons)))) * 32**2)


def test_rings_are_cut_at_the_region() -> None:
    region = shapely.box(0, 0, 11 * 32, 1e4)
    tissue = TissueMask(mask_with_holes(), FRAME, region)
    points, offsets = tissue.rings_level0
    assert len(offsets) == 2, "the hole is open at the border of the region"
    assert points.max(axis=0).tolist() == [11 * 32, 36 * 32]


def test_the_mask_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tissue, calls = TissueMask(mask_with_holes(), FRAME), []
    trace = wsi_parse.tissue.mask.lines_of_mask

    def counted(mask: np.ndarray) -> object:
        calls.append(mask)
        return trace(mask)

    monkeypatch.setattr(wsi_parse.tissue.mask, "lines_of_mask", counted)
    for _ in range(2):
        assert len(tissue.rings_level0[1]) == len(tissue.lines.label) + 1
    assert len(calls) == 1
