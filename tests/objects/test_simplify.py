"""Simplification: few vertices, each area within 0.5 %, shapes kept, nothing made invalid, on every lattice."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.contours.masks import polygons_of_mask
from wsi_parse.contours.tracing import polygons_of, trace
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.simplify import outlined_area, to_level0
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.snapping import GRID_PX

MPP = 0.5


def frame_of(level0_mpp: float) -> Frame:
    return Frame.of(400_000, 400_000, (level0_mpp, level0_mpp), MPP)


def discs(radius_um: float, count: int, *, soft: bool, seed: int = 0) -> np.ndarray:
    """Trace discs at random positions, in lattice pixels; if soft, a pixel's value is the share that is covered."""
    random = np.random.default_rng(seed)
    radius = radius_um / MPP
    side, fine = int(2 * radius) + 8, 8
    found = []
    for _ in range(count):
        middle = side / 2 + random.uniform(-0.5, 0.5, (2, 1, 1))
        grid = (np.indices((side * fine, side * fine)) + 0.5) / fine
        covered = (((grid - middle) ** 2).sum(axis=0) < radius**2).reshape(side, fine, side, fine).mean(axis=(1, 3))
        values = np.rint(255 * (covered if soft else covered >= 0.5)).astype(np.uint8)
        inside = values >= 127.5
        window = Box(*random.integers(0, 100_000, 2).tolist(), side, side)
        lines = trace(inside.astype(int), window, window.expanded(-1), values, inside, np.ones_like(inside))
        found.append(polygons_of(lines, keep_holes=False)[0][0])
    return np.array(found, object)


def level0(polygons: np.ndarray, frame: Frame) -> np.ndarray:
    """The same contours in level-0 pixels, neither simplified nor snapped."""
    return shapely.set_coordinates(polygons.copy(), frame.to_level0(shapely.get_coordinates(polygons)))


def likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return shapely.area(shapely.intersection(one, other)) / shapely.area(shapely.union(one, other))


@pytest.mark.parametrize("level0_mpp", [0.25, 0.5])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("radius_um", [2.0, 2.5, 3.0, 6.0, 10.0, 20.0])
def test_discs_keep_their_area_and_shape_with_few_vertices(radius_um: float, soft: bool, level0_mpp: float) -> None:
    frame = frame_of(level0_mpp)
    polygons = discs(radius_um, 20, soft=soft)
    simplified = to_level0(polygons, frame)
    known = outlined_area(polygons) * frame.scale_x * frame.scale_y
    assert shapely.area(simplified) == pytest.approx(known, rel=0.005)
    assert abs(shapely.area(simplified).sum() / known.sum() - 1) < 0.002, "no bias"
    assert shapely.area(simplified).mean() == pytest.approx(np.pi * (radius_um / level0_mpp) ** 2, rel=0.012)
    assert likeness(simplified, level0(polygons, frame)).min() > 0.94
    assert shapely.get_num_coordinates(simplified).mean() <= 30
    assert shapely.is_valid(simplified).all()


def test_a_fixed_tolerance_of_a_quarter_pixel_would_cost_small_discs_more_than_the_limit() -> None:
    """The area that a fixed tolerance cuts off, before it is restored, shows why each object has its own tolerance."""
    polygons = discs(3.0, 20, soft=True)
    cut = 1 - shapely.area(shapely.simplify(polygons, 0.5, preserve_topology=False)) / shapely.area(polygons)
    assert cut.mean() > 0.05
    large = discs(20.0, 5, soft=True)
    coarse, fine = to_level0(large, frame_of(0.25)), to_level0(large, frame_of(0.25), 0.25)
    assert shapely.get_num_coordinates(coarse).sum() < 0.7 * shapely.get_num_coordinates(fine).sum()


@settings(deadline=None, max_examples=60)
@given(arrays(bool, st.tuples(st.integers(3, 24), st.integers(3, 24))), st.sampled_from([0.125, 0.25, 0.3, 0.5]))
def test_any_mask_comes_out_fit_with_its_area(mask: np.ndarray, level0_mpp: float) -> None:
    frame = frame_of(level0_mpp)
    polygons = polygons_of_mask(mask)
    simplified = to_level0(polygons, frame)
    assert not shapely.is_missing(simplified).any()
    assert shapely.is_valid(simplified).all()
    again = fit_for_qupath(simplified)
    assert shapely.equals(again, simplified).all()
    coordinates = shapely.get_coordinates(simplified) / GRID_PX
    assert np.array_equal(coordinates, np.rint(coordinates))
    known = outlined_area(polygons) * frame.scale_x * frame.scale_y
    # A single pixel of four grid squares cannot come closer; all larger objects can.
    large = known >= 50 * (1 + shapely.get_num_interior_rings(polygons))
    assert shapely.area(simplified)[large] == pytest.approx(known[large], rel=0.02)
    assert (shapely.get_num_coordinates(simplified) <= shapely.get_num_coordinates(polygons) + 4).all()


def test_holes_and_necks_survive() -> None:
    mask = np.zeros((120, 120), bool)
    mask[10:110, 10:110] = True
    mask[30:33, 30:90] = False
    mask[60:62, 60:62] = False
    mask[112:114, 20:100] = True
    polygons = polygons_of_mask(mask)
    simplified = to_level0(polygons, frame_of(0.25))
    assert (
        shapely.get_num_interior_rings(simplified).tolist()
        == shapely.get_num_interior_rings(polygons).tolist()
        == [2, 0]
    )
    assert (shapely.get_type_id(simplified) == shapely.GeometryType.POLYGON).all()
    assert shapely.area(simplified).sum() / 4 == pytest.approx(mask.sum(), rel=0.005)


def test_a_large_contour_is_not_inflated_for_its_corners() -> None:
    """A comb of a thousand teeth: all its corners together must not move its ends."""
    mask = np.zeros((40, 6000), bool)
    mask[:20] = True
    mask[20:, ::4] = True
    mask[20:, 1::4] = True
    polygons = polygons_of_mask(mask)
    simplified = to_level0(polygons, frame_of(0.5))
    assert simplified[0].bounds == pytest.approx((0, 0, 6000, 40), abs=0.6)


def test_simplification_does_not_depend_on_the_position_except_for_the_grid() -> None:
    polygons = discs(4.0, 10, soft=True)
    frame = frame_of(0.25)
    here = to_level0(polygons, frame)
    assert shapely.equals(here, to_level0(polygons[::-1], frame)[::-1]).all(), "objects do not influence one another"


@pytest.mark.parametrize("tolerance", [0.0, 0.25, 0.5])
def test_a_given_tolerance_is_taken(tolerance: float) -> None:
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 19.5) ** 2 + (columns - 19.5) ** 2 < 12**2
    polygons = polygons_of_mask(disc)
    simplified = to_level0(polygons, frame_of(0.25), tolerance)
    assert shapely.area(simplified)[0] / 4 == pytest.approx(disc.sum(), rel=0.005)
    assert shapely.centroid(simplified[0]).distance(shapely.Point(40, 40)) < 0.2
    straight = shapely.simplify(polygons, tolerance, preserve_topology=False) if tolerance else polygons
    assert shapely.get_num_coordinates(simplified)[0] == pytest.approx(shapely.get_num_coordinates(straight)[0], abs=2)


def test_a_single_pixel_does_not_vanish() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    for tolerance in (None, 0.5):
        assert shapely.area(to_level0(polygons_of_mask(mask), frame_of(0.25), tolerance)).sum() == pytest.approx(4, 0.2)
