"""Polygons with many holes are snapped ring by ring, and come out as if all were snapped at once."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import wsi_parse.qupath.geometry
from wsi_parse.qupath.clearance import near_rings
from wsi_parse.qupath.geometry import GRID_PX, fit_for_qupath

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


def at_once(polygon: shapely.Polygon) -> shapely.Geometry:
    return shapely.set_precision(shapely.make_valid(polygon), GRID_PX)


@settings(max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([3.5, 4.6, 4.8, 5.0, 5.2]), st.sampled_from([GRID_PX, 1.0]))
def test_ring_by_ring_is_all_at_once(seed: int, spread: float, step: float) -> None:
    polygon = sieve(seed, spread, step)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wsi_parse.qupath.geometry, "_LARGE_CORNERS", 0)
        fitted = fit_for_qupath(np.array([polygon], object))
    known = at_once(polygon)
    assert shapely.normalize(fitted[0]) == shapely.normalize(known)
    if polygon.is_valid and not near_rings(polygon, GRID_PX).any():
        # Ring by ring and corner by corner, so that ids, which come from the bytes, stay the same.
        assert shapely.to_wkb(fitted[0]) == shapely.to_wkb(known)


@pytest.mark.parametrize("spread", [3.5, 4.9])
def test_rings_that_are_not_near_are_those_that_snapping_leaves(spread: float) -> None:
    kept, all_rings = 0, 0
    for seed in range(20):
        polygon = sieve(seed, spread)
        assert polygon.is_valid
        rings = shapely.get_rings(polygon)
        clear = rings[~near_rings(polygon, GRID_PX)]
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
    assert near_rings(polygon, GRID_PX).tolist() == near


def test_a_sieve_of_many_holes_is_fitted() -> None:
    side = 70
    x, y = (np.arange(side * side) % side * 4.0 + 2, np.arange(side * side) // side * 4.0 + 2)
    holes = shapely.get_exterior_ring(shapely.box(x, y, x + 2, y + 2))
    polygon = shapely.Polygon(shapely.box(0, 0, 4 * side + 2, 4 * side + 2).exterior, holes.tolist())
    fitted = fit_for_qupath(np.array([polygon], object))[0]
    assert shapely.to_wkb(fitted) == shapely.to_wkb(at_once(polygon))
