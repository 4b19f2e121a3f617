"""Rings of a mask: traced in bands of rows and kept as chain codes, they are those of tracing it as a whole."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

import wsi_parse.contours.mask_rings
from tests.contours.masks import lines_of_mask, polygons_of_mask
from wsi_parse.contours.mask_rings import MaskRings
from wsi_parse.contours.rings import Rings


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
    assert Rings.joined(list(rings.parts(3))).points.tolist() == closed.points.tolist()
    assert shapely.equals_exact(rings.polygons(), polygons_of_mask(mask)).all()
