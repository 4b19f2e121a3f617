"""Shapes that are called snapped are not changed by snapping."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsi_parse.qupath.geometry import fit_for_qupath, is_snapped
from wsi_parse.qupath.snapping import GRID_PX

STEPS = st.integers(0, 12)


@given(st.lists(st.lists(st.tuples(STEPS, STEPS), min_size=3, max_size=12), min_size=1, max_size=20))
def test_shapes_called_snapped_are_not_moved_by_snapping(rings: list[list[tuple[int, int]]]) -> None:
    shapes = np.array([shapely.Polygon(np.array(ring) * GRID_PX) for ring in rings], object)
    snapped = shapes[is_snapped(shapes)]
    again = shapely.set_precision(shapely.make_valid(snapped), GRID_PX)
    assert shapely.equals_exact(shapely.normalize(again), shapely.normalize(snapped)).all()


def test_fitting_gives_what_snapping_gives_for_cells() -> None:
    random = np.random.default_rng(0)
    shapes = []
    for _ in range(500):
        angle = np.sort(random.random(random.integers(6, 30))) * 2 * np.pi
        radius = random.uniform(1, 12) * (1 + 0.3 * np.sin(3 * angle))
        points = random.uniform(0, 1e5, 2) + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
        shapes.append(shapely.Polygon(np.rint(points / GRID_PX) * GRID_PX))
    known = shapely.set_precision(shapely.make_valid(shapes), GRID_PX)
    assert is_snapped(np.array(shapes, object)).mean() > 0.3
    simple = shapely.get_type_id(known) == shapely.GeometryType.POLYGON
    fitted = fit_for_qupath(np.array(shapes, object))
    assert simple.sum() > 400
    assert shapely.equals_exact(shapely.normalize(fitted[simple]), shapely.normalize(known[simple])).all()


@pytest.mark.parametrize(
    ("shape", "snapped"),
    [
        (shapely.box(0, 0, 2, 2), True),
        (shapely.box(0.1, 0, 2, 2), False),
        (shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), False),
        (shapely.Polygon([(0, 0), (2, 0), (2, 0), (2, 2)]), False),
        # The corner at (1, 0.25) lies next to the side from (0, 0) to (10, 2.25).
        (shapely.Polygon([(0, 0), (10, 2.25), (10, 5), (1, 0.25), (0, 5)]), False),
        (shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 6, 6)), False),
        (shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 3, 4, 4)]), False),
        (shapely.Point(0, 0).buffer(1e4, quad_segs=64), False),
        (shapely.Polygon(), False),
    ],
)
def test_known_shapes(shape: shapely.Geometry, snapped: bool) -> None:
    assert is_snapped(np.array([shape], object)).tolist() == [snapped]


@given(st.lists(st.tuples(st.floats(-0.3, 3.0), st.floats(-0.3, 3.0)), min_size=3, max_size=12))
def test_no_zero_keeps_a_sign(ring: list[tuple[float, float]]) -> None:
    fitted = fit_for_qupath(np.array([shapely.Polygon(ring), shapely.Polygon([(-0.05, -0.1), (2, 0), (0, 2)])], object))
    points = shapely.get_coordinates(fitted)
    assert (points == 0).any()
    assert not np.signbit(points[points == 0]).any()
