"""Coverage and outlines of many polygons at once: the areas are right, in any order and in any batches."""

import numpy as np
import shapely

from wsi_parse.report.raster import WHOLE, Coverage, mark_outlines


def covered(shapes: list[object], shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    found = Coverage(shape)
    oriented = shapely.orient_polygons(np.array(shapes, object))
    found.add_polygons(oriented, shapely.get_coordinates(oriented))
    return found.values()


def test_rectangles_are_exact_and_holes_stay_holes() -> None:
    ring = shapely.Polygon(shapely.box(2, 3, 12.5, 13).exterior, [shapely.box(4, 5, 8, 9).exterior.coords[::-1]])
    values = covered([ring])
    expected = np.zeros((40, 50), int)
    expected[3:13, 2:12], expected[3:13, 12] = WHOLE, WHOLE // 2
    expected[5:9, 4:8] = 0
    assert np.array_equal(values, expected)


def test_parts_and_overlaps_add_up_and_areas_are_right_within_a_percent() -> None:
    random = np.random.default_rng(1)
    discs = shapely.buffer(shapely.points(random.uniform(8, 32, (60, 2))), random.uniform(2, 6, 60))
    several = shapely.MultiPolygon([shapely.box(1, 1, 3, 3), shapely.box(5, 5, 9, 9)])
    values = covered([*discs, several])
    area = shapely.area(discs).sum() + 20
    assert abs(values.sum() / WHOLE - area) < 0.01 * area
    apart = sum(covered([shape]) for shape in [several, *discs[::-1]])
    assert np.array_equal(values, apart), "whole numbers, in any order"


def test_what_lies_outside_changes_nothing_inside() -> None:
    assert not covered([shapely.box(60, 5, 70, 9), shapely.box(-9, -9, -2, -2), shapely.box(5, 50, 9, 60)]).any()
    assert np.array_equal(covered([shapely.box(-5, -5, 100, 100)]), np.full((40, 50), WHOLE))


def test_points_count_with_their_area_also_at_the_border() -> None:
    found = Coverage((4, 4))
    found.add_points(np.array([(0.5, 0.5), (3.999, 3.5), (99.0, -3.0)]), np.array([0.25, 0.5, 1.0]))
    expected = np.zeros((4, 4), int)
    expected[0, 0], expected[3, 3], expected[0, 3] = WHOLE // 4, WHOLE // 2, WHOLE
    assert np.array_equal(found.values(), expected)


def test_outlines_have_no_gaps_and_sure_ones_stay_on_top() -> None:
    mask = np.zeros((20, 20), np.uint8)
    box, over = np.array([shapely.box(2.5, 2.5, 12.5, 9.5)]), np.array([shapely.box(2.5, 2.5, 4.5, 99.5)])
    mark_outlines(mask, box, shapely.get_coordinates(box), 2)
    assert (mask[2, 2:13] == 2).all()
    assert (mask[2:10, 12] == 2).all()
    assert not mask[4:8, 4:11].any()
    mark_outlines(mask, over, shapely.get_coordinates(over), 1)
    assert mask[5, 2] == 2
    assert mask[15, 2] == 1
