"""Rings of a mask: traced in bands of rows and kept as chain codes, they are those of tracing it as a whole."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import wsi_parse.contours.mask_rings
from tests.contours.masks import lines_of_mask, polygons_of_mask
from wsi_parse.contours.mask_rings import MaskRings
from wsi_parse.contours.tracing import rings_of_labels


@pytest.mark.parametrize("rows_at_once", [1, 2, 7, 128])
@settings(deadline=None)
@given(mask=arrays(bool, (24, 30)))
def test_bands_of_rows_give_the_rings_of_the_whole_mask(rows_at_once: int, mask: np.ndarray) -> None:
    """In the same order, each from the same first point, so that simplifying them gives the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsi_parse.contours.mask_rings, "_ROWS_AT_ONCE", rows_at_once)
        patch.setattr(wsi_parse.contours.mask_rings, "_RINGS_AT_ONCE", rows_at_once)
        rings = MaskRings.of(mask)
    known = lines_of_mask(mask)
    assert np.array_equal(rings.label, known.label)
    assert np.array_equal(rings.pixels, known.pixels)
    assert np.array_equal(rings.sizes, np.diff(known.offsets))
    closed = rings.points(np.arange(len(rings)))
    assert np.array_equal(np.delete(closed.points, closed.offsets[1:] - 1, axis=0), known.points)
    assert np.array_equal(closed.points[closed.offsets[:-1]], closed.points[closed.offsets[1:] - 1])
    numbers, ends, _ = rings_of_labels(rings, keep_holes=True)
    assert shapely.equals_exact(rings.points(numbers).polygons(ends), polygons_of_mask(mask)).all()


@settings(deadline=None)
@given(arrays(bool, (24, 30)), st.integers(6, 40), st.integers(1, 100))
def test_areas_in_turn_are_all_areas_and_few_corners_at_once(mask: np.ndarray, large: int, at_once: int) -> None:
    rings = MaskRings.of(mask)
    numbers, ends, _ = rings_of_labels(rings, keep_holes=True)
    corners = np.add.reduceat(np.append(rings.sizes[numbers] + 1, 0), ends)[:-1]
    following = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsi_parse.contours.mask_rings, "_CORNERS_AT_ONCE", at_once)
        for first, last, is_large in rings.in_turn(numbers, ends, large):
            assert first == following < last
            assert is_large == (corners[first:last] > large).any()
            assert last == first + 1 or corners[first:last].sum() <= at_once + large
            assert not is_large or last == first + 1
            following = last
    assert following == len(corners)
