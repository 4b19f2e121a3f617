"""Rings as ragged arrays: what shapely says of the same polygons, and bands that part no neighbours."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import wsi_parse.contours.rings
from wsi_parse.contours.rings import Rings, bands


def sieve(seed: int) -> shapely.Polygon:
    """Return a large polygon with holes of random directions in random places, which may meet."""
    random = np.random.default_rng(seed)
    outer = shapely.Polygon([(0, 0), (100, -9.3), (107.7, 100), (-3.1, 94.9)]).exterior
    holes = []
    for _ in range(random.integers(0, 30)):
        angles = np.sort(random.random(random.integers(3, 9))) * 2 * np.pi
        points = random.uniform(10, 85, 2) + random.uniform(0.5, 9) * np.stack([np.cos(angles), np.sin(angles)], 1)
        holes.append(points[:: random.choice([-1, 1])])
    polygon = shapely.Polygon(outer, holes)
    return polygon if random.random() < 0.5 else shapely.reverse(polygon)


def rings_of(polygon: shapely.Polygon) -> Rings:
    return Rings.of_shapes(np.array([polygon], object))


seeds = st.integers(0, 1 << 30)


@given(seeds, st.sampled_from([1, 4, 1 << 14]))
def test_area_and_centroid_are_those_of_shapely_to_the_last_bit(seed: int, at_once: int) -> None:
    polygon = sieve(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsi_parse.contours.rings, "_AT_ONCE", at_once)
        assert rings_of(polygon).polygon_area() == shapely.area(polygon)
        assert rings_of(polygon).polygon_centroid().tolist() == list(polygon.centroid.coords[0])


@given(seeds)
def test_each_ring_is_as_shapely_has_it(seed: int) -> None:
    polygon = sieve(seed)
    rings, known = rings_of(polygon), shapely.get_rings(polygon)
    assert shapely.equals_exact(rings.polygon(), polygon)
    assert rings.counterclockwise().tolist() == shapely.is_ccw(known).tolist()
    assert rings.areas() == pytest.approx(shapely.area(shapely.polygons(known)))
    assert rings.boxes().tolist() == shapely.bounds(known).tolist()
    assert shapely.equals_exact(rings.shapes(), shapely.polygons(known)).all()
    assert rings.sizes.tolist() == shapely.get_num_coordinates(known).tolist()


@given(seeds, st.integers(1, 7))
def test_parts_and_choices(seed: int, at_once: int) -> None:
    rings = rings_of(sieve(seed))
    again = Rings.joined(list(rings.parts(at_once)))
    assert again.points.tolist() == rings.points.tolist()
    assert again.offsets.tolist() == rings.offsets.tolist()
    order = np.random.default_rng(seed).permutation(len(rings))
    shapes = rings.take(order).shapes()
    assert shapely.equals_exact(shapes, rings.shapes()[order]).all()


@given(seeds, st.integers(1, 7), st.sampled_from([0.0, 0.5, 3.0]))
def test_rings_that_come_near_are_in_one_band(seed: int, at_once: int, reach: float) -> None:
    rings = rings_of(sieve(seed))
    shapes = rings.shapes()
    one, other = shapely.STRtree(shapes).query(shapes, "dwithin", reach)
    apart = {pair for pair in zip(one.tolist(), other.tolist(), strict=True) if pair[0] < pair[1]}
    ends = []
    for band, top, bottom in bands(rings, at_once, reach):
        apart -= {(a, b) for a in band.tolist() for b in band.tolist()}
        ends.append((top, bottom))
    assert not apart
    assert [bottom for _, bottom in ends[:-1]] == [top for top, _ in ends[1:]], "bands follow without a gap"
    assert ends[0][0] == rings.boxes()[:, 1].min()
    assert ends[-1][1] == np.inf


def test_no_rings() -> None:
    none = Rings.joined([])
    assert len(none) == 0
    assert len(none.areas()) == len(none.shapes()) == 0
    assert list(none.parts(3)) == list(bands(none, 3)) == []
