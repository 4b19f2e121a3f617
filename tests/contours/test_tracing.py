"""Contours enclose every pixel once and keep holes; their positions and areas are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from tests.contours.masks import polygons_of_mask
from wsi_parse.contours.tracing import trace
from wsi_parse.geometry import Box
from wsi_parse.objects.simplify import outlined_area

small_labels = arrays(np.int32, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 3))


@settings(deadline=None)
@given(small_labels, st.integers(0, 100), st.integers(0, 100))
def test_rings_enclose_exactly_the_pixels_of_their_label(labels: np.ndarray, x: int, y: int) -> None:
    core = Box(x, y, labels.shape[1], labels.shape[0])
    lines = trace(np.pad(labels, 1), core.expanded(1), core)
    assert lines.closed.all()
    for label in (1, 2, 3):
        mine = lines.pixels[lines.label == label]
        assert mine.sum() == (labels == label).sum()
        assert (mine > 0).sum() == ndimage.label(labels == label)[1]


@settings(deadline=None)
@given(small_labels)
def test_points_lie_on_the_edges_of_pixels(labels: np.ndarray) -> None:
    core = Box(0, 0, labels.shape[1], labels.shape[0])
    lines = trace(np.pad(labels, 1), core.expanded(1), core)
    # The middle of a pixel's side: one coordinate whole, the other half.
    fractions = np.sort(lines.points % 1, axis=1)
    assert np.array_equal(fractions, np.tile([0.0, 0.5], (len(fractions), 1)))


@settings(deadline=None)
@given(arrays(bool, (20, 20)))
def test_polygons_of_a_mask_represent_its_area(mask: np.ndarray) -> None:
    assert outlined_area(polygons_of_mask(mask)).sum() == pytest.approx(mask.sum())


@settings(deadline=None)
@given(small_labels, st.integers(1, 23))
def test_lines_cut_at_a_border_continue_on_the_other_side(labels: np.ndarray, cut: int) -> None:
    height, width = labels.shape
    cut = min(cut, width)
    padded, window = np.pad(labels, 1), Box(-1, -1, width + 2, height + 2)
    whole = trace(padded, window, Box(0, 0, width, height))
    left = trace(padded, window, Box(0, 0, cut, height))
    right = trace(padded, window, Box(cut, 0, width - cut, height)) if cut < width else None
    parts = [part for part in (left, right) if part is not None]
    assert sum(len(part.points) for part in parts) == len(whole.points)
    starts = np.concatenate([part.start[~part.closed] for part in parts])
    ends = np.concatenate([part.follows[~part.closed] for part in parts])
    assert sorted(starts) == sorted(ends)


def test_the_contour_lies_where_the_probability_crosses_the_level() -> None:
    ramp = np.tile(np.array([0, 0, 51, 204, 255, 255, 204, 51, 0], np.uint8), (9, 1))
    ramp[:2], ramp[-2:] = 0, 0
    inside = ramp >= 127.5
    window = Box(0, 0, 9, 9)
    lines = trace(inside.astype(int), window, window.expanded(-1), ramp, inside, np.ones_like(inside))
    # From 204 to 51 over one pixel: 127.5 lies half-way between the centres 3.5 and 2.5.
    middle = lines.points[np.abs(lines.points[:, 1] - 4.5) < 1]
    assert middle[:, 0].min() == pytest.approx(3.0)
    assert middle[:, 0].max() == pytest.approx(7.0)
    # From 255 to 0: between the row centres 1.5 and 2.5, where the ramp reaches 127.5.
    assert lines.points[:, 1].min() == pytest.approx(2.5 - (255 - 127.5) / 255)


def test_towards_pixels_that_were_not_predicted_the_contour_is_the_pixel_edge() -> None:
    values = np.full((6, 6), 200, np.uint8)
    values[:, 3:] = 0
    inside = values > 0
    covered = inside.copy()
    window = Box(0, 0, 6, 6)
    lines = trace(inside.astype(int), window, Box(1, 1, 4, 4), values, inside, covered)
    assert lines.points[:, 0].max() == 3.0
