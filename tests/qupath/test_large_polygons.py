"""Polygons with many holes are snapped ring by ring, and come out as if all were snapped at once."""

import numpy as np
import pytest
import shapely
from hypothesis import event, given, settings
from hypothesis import strategies as st

import wsi_parse.qupath.clearance
import wsi_parse.qupath.geometry
import wsi_parse.qupath.ring_validity
from wsi_parse.contours.rings import Rings
from wsi_parse.qupath.by_rings import snapped_by_rings
from wsi_parse.qupath.clearance import near_rings
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.ring_validity import is_valid_polygon
from wsi_parse.qupath.snapping import GRID_PX

_SPACING = 10.0


def sieve(seed: int, spread: float, step: float = GRID_PX) -> shapely.Polygon:
    """Return a square with a hole of 3 to 7 corners in each of 36 fields; beyond half a field, holes meet."""
    random = np.random.default_rng(seed)
    holes = []
    for field in np.ndindex(6, 6):
        count = random.integers(3, 8)
        angle, radius = np.sort(random.random(count)) * 2 * np.pi, random.uniform(2, spread, count)
        points = (np.array(field) + 1) * _SPACING + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
        hole = shapely.Polygon(np.rint(points / step) * step)
        if hole.is_valid and hole.area:
            holes.append(hole.exterior)
    side = 7 * _SPACING
    return shapely.Polygon([(0, 0), (side, 0), (side, side), (0, side)], holes)


def rings_of(polygon: shapely.Polygon) -> Rings:
    return Rings.of_shapes(np.array([polygon], object))


def at_once(polygon: shapely.Polygon) -> shapely.Geometry:
    return shapely.set_precision(shapely.make_valid(polygon), GRID_PX)


@settings(max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([3.5, 4.6, 4.8, 5.0, 5.2]), st.sampled_from([GRID_PX, 1.0]))
def test_ring_by_ring_is_all_at_once(seed: int, spread: float, step: float) -> None:
    polygon = sieve(seed, spread, step)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wsi_parse.qupath.geometry, "LARGE_CORNERS", 0)
        fitted = fit_for_qupath(np.array([polygon], object))
    (known,) = fit_for_qupath(np.array([polygon], object))
    assert shapely.normalize(fitted[0]) == shapely.normalize(known)
    if polygon.is_valid and not near_rings(rings_of(polygon), GRID_PX).any():
        # Ring by ring and corner by corner, so that ids, which come from the bytes, stay the same.
        assert shapely.to_wkb(fitted[0]) == shapely.to_wkb(known)


@pytest.mark.parametrize("spread", [3.5, 4.9])
def test_rings_that_are_not_near_are_those_that_snapping_leaves(spread: float) -> None:
    kept, all_rings = 0, 0
    for seed in range(20):
        polygon = sieve(seed, spread)
        assert polygon.is_valid
        rings = shapely.get_rings(polygon)
        clear = rings[~near_rings(rings_of(polygon), GRID_PX)]
        snapped = set(shapely.to_wkb(shapely.normalize(shapely.get_rings(at_once(polygon)))).tolist())
        assert set(shapely.to_wkb(shapely.normalize(clear)).tolist()) <= snapped
        kept, all_rings = kept + len(clear), all_rings + len(rings)
    assert kept > 0.7 * all_rings


@pytest.mark.parametrize(
    ("hole", "near"),
    [
        ([(3, 3), (6, 3), (6, 6), (3, 6)], [False, False]),
        # A corner on the outer ring, and one that is a third of a step away from its slanting side.
        ([(0, 3), (6, 3), (6, 6), (3, 6)], [True, True]),
        ([(12.5, 1), (6, 3), (6, 6), (3, 6)], [True, True]),
        # The third corner touches the first side.
        ([(3, 3), (7, 3), (5, 3), (5, 6)], [False, True]),
    ],
)
def test_known_holes(hole: list[tuple[float, float]], near: list[bool]) -> None:
    # The slanting side runs from (12, 0) to (15, 6); at height 1, its x is 12.5.
    polygon = shapely.Polygon([(0, 0), (12, 0), (15, 6), (15, 12), (0, 12)], [hole])
    assert near_rings(rings_of(polygon), GRID_PX).tolist() == near


def test_what_collapses_has_no_area() -> None:
    polygon = shapely.Polygon([(0.75, 5.75), (0.75, 6), (0.5, 6.25), (0.25, 6.25)])
    assert at_once(polygon).is_empty
    assert snapped_by_rings(rings_of(polygon)) is None


@settings(deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([3.5, 4.6, 5.0, 5.2, 9.0]), st.sampled_from([GRID_PX, 1.0]))
def test_the_same_in_bands_of_a_few_rings(seed: int, spread: float, step: float) -> None:
    """Which rings come near one another, and whether the polygon is valid, as GEOS says."""
    polygon = sieve(seed, spread, step)
    rings = rings_of(polygon)
    near, valid = near_rings(rings, GRID_PX), shapely.is_valid(polygon)
    event(f"valid: {valid}, near: {near.any()}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wsi_parse.qupath.clearance, "_RINGS_AT_ONCE", 3)
        assert near_rings(rings, GRID_PX).tolist() == near.tolist()
        for holes_at_once in (3, 1 << 14):
            patched.setattr(wsi_parse.qupath.ring_validity, "_HOLES_AT_ONCE", holes_at_once)
            assert is_valid_polygon(rings) == valid


_BOX = [(0, 0), (20, 0), (20, 20), (0, 20)]
_HOLE = [(5, 5), (5, 10), (10, 10), (10, 5)]


@pytest.mark.parametrize(
    ("outer", "holes"),
    [
        (_BOX, []),
        (_BOX, [_HOLE]),
        (_BOX, [_HOLE, [(10, 10), (10, 12), (12, 12)]]),
        (_BOX, [_HOLE, [(10, 6), (10, 8), (12, 8)]]),
        (_BOX, [_HOLE, [(6, 6), (6, 8), (8, 8)]]),
        (_BOX, [_HOLE, _HOLE]),
        (_BOX, [[(0, 5), (5, 8), (5, 2)]]),
        (_BOX, [[(0, 5), (5, 8), (0, 8)]]),
        (_BOX, [[(-1, 5), (5, 8), (0, 8)]]),
        (_BOX, [[(30, 5), (35, 8), (30, 8)]]),
        (_BOX, [_HOLE, [(2, 2), (4, 4), (2, 4), (4, 2)]]),
        ([(0, 0), (20, 20), (20, 0), (0, 20)], [[(2, 9), (2, 11), (4, 10)]]),
        # A chain of holes that touch one another and the outer ring cuts the polygon into two.
        (_BOX, [[(0, 10), (10, 12), (10, 8)], [(10, 10), (20, 10), (15, 12)]]),
        (_BOX, [[(0, 10), (10, 12), (10, 8)], [(10, 10), (19, 10), (15, 12)]]),
    ],
)
def test_validity_is_the_one_of_geos(outer: list[tuple[float, float]], holes: list[list[tuple[float, float]]]) -> None:
    polygon = shapely.Polygon(outer, holes)
    assert is_valid_polygon(rings_of(polygon)) == shapely.is_valid(polygon)


def test_a_sieve_of_many_holes_is_fitted() -> None:
    side = 70
    x, y = (np.arange(side * side) % side * 4.0 + 2, np.arange(side * side) // side * 4.0 + 2)
    holes = shapely.get_exterior_ring(shapely.box(x, y, x + 2, y + 2))
    polygon = shapely.Polygon(shapely.box(0, 0, 4 * side + 2, 4 * side + 2).exterior, holes.tolist())
    fitted = fit_for_qupath(np.array([polygon], object))[0]
    assert shapely.to_wkb(fitted) == shapely.to_wkb(at_once(polygon))
