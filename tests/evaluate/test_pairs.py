"""The steps: areas in common, pairs, one-to-one choices, covers; each against a second way to find the same."""

import resource

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.evaluate.made import heaps, label_images, of_heap, outlines
from tests.evaluate.rasters import of_labels
from wsi_parse.errors import UsageError
from wsi_parse.evaluate.areas import Pieces, common_areas
from wsi_parse.evaluate.assignment import assign
from wsi_parse.evaluate.intersection import intersection_areas
from wsi_parse.evaluate.pairs import overlapping, overlapping_itself

# Numbers next to zero trouble GEOS, which is what is compared with.
coordinates = st.floats(-30, 30, allow_nan=False).map(lambda value: round(value, 4) + 0.0)


@st.composite
def areas(draw: st.DrawFn) -> shapely.Geometry:
    """Anything with area: holes, islands, spikes, vertical and nearly vertical edges."""
    shapes = [shapely.Polygon(draw(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9)))]
    for _ in range(draw(st.integers(0, 2))):
        shapes.append(shapely.Point(draw(coordinates), draw(coordinates)).buffer(draw(st.floats(1, 9)), quad_segs=3))
    x, y = draw(coordinates), draw(coordinates)
    shapes.append(shapely.box(x, y, x + draw(st.floats(0.5, 20)), y + draw(st.floats(0.5, 20))))
    mended = shapely.make_valid(np.array(shapes, object), method="structure", keep_collapsed=False)
    return shapely.union_all(mended[1:]).symmetric_difference(mended[0]).buffer(0)


class TestIntersectionAreas:
    @given(st.lists(st.tuples(areas(), areas()), min_size=1, max_size=6), st.sampled_from([0.0, 190_000.0]))
    def test_are_those_of_geos(self, pairs: list[tuple[shapely.Geometry, shapely.Geometry]], offset: float) -> None:
        one, other = (
            shapely.transform(np.array(shapes, object), lambda points: points + offset)
            for shapes in zip(*pairs, strict=True)
        )
        valid = shapely.is_valid(one) & shapely.is_valid(other)
        one, other = one[valid], other[valid]
        ours, theirs = intersection_areas(one, other), shapely.area(shapely.intersection(one, other))
        assert ours == pytest.approx(theirs, abs=1e-5, rel=1e-6)
        assert np.array_equal(ours, intersection_areas(other, one)) or ours == pytest.approx(
            intersection_areas(other, one), rel=1e-9, abs=1e-7
        )

    @given(areas())
    def test_with_itself_is_its_area(self, shape: shapely.Geometry) -> None:
        shapes = np.array([shape], object)
        assert intersection_areas(shapes, shapes) == pytest.approx(shapely.area(shapes), rel=1e-9)

    def test_large_outlines_take_the_other_way_to_the_same(self) -> None:
        large = np.array([shapely.Point(0, 0).buffer(50, quad_segs=400)], object)
        small = np.array([shapely.Point(30, 0).buffer(40, quad_segs=9)], object)
        assert intersection_areas(large, small) == pytest.approx(shapely.area(large[0] & small[0]), rel=1e-12)

    def test_nothing_has_nothing_in_common(self) -> None:
        nothing, box = np.array([shapely.Polygon()], object), np.array([shapely.box(0, 0, 1, 1)], object)
        assert intersection_areas(nothing, box).tolist() == [0]
        assert intersection_areas(nothing[:0], box[:0]).tolist() == []


class TestPairs:
    @given(label_images(), label_images())
    def test_are_all_overlaps_of_two_label_images(self, truth: np.ndarray, pred: np.ndarray) -> None:
        pairs = overlapping(
            np.array([*outlines(truth), None], object)[:-1], np.array([*outlines(pred), None], object)[:-1]
        )
        table = np.zeros((truth.max(), pred.max()))
        table[pairs.one, pairs.other] = pairs.area
        assert table == pytest.approx(of_labels(truth, pred))
        assert len(pairs) == np.count_nonzero(table)

    def test_of_a_large_region_and_cells(self) -> None:
        rows, columns = np.mgrid[:40, :40] * 10.0
        cells = shapely.box(columns.ravel(), rows.ravel(), columns.ravel() + 6, rows.ravel() + 6)
        region = np.array([shapely.Point(190, 180).buffer(150, quad_segs=200)], object)
        expected = shapely.area(shapely.intersection(cells, region[0]))
        for pairs, of_cells in ((overlapping(cells, region), "one"), (overlapping(region, cells), "other")):
            found = np.zeros(len(cells))
            found[getattr(pairs, of_cells)] = pairs.area
            assert found == pytest.approx(expected, abs=1e-9)

    def test_come_in_pieces_of_so_many_pairs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However they lie: in a heap, far apart, under a large one."""
        rng = np.random.default_rng(5)
        x, y = rng.uniform(0, 4000, (2, 700))
        shapes = np.concatenate(
            [shapely.box(x, y, x + 30, y + 20), shapely.box([0] * 60, 0, 9, 9), [shapely.box(0, 0, 4000, 4000)]]
        )[rng.permutation(761)]
        whole = overlapping(shapes, shapes), overlapping_itself(shapes)
        most, sizes = 900, []
        tree = shapely.STRtree

        class Counting:
            def __init__(self, others: np.ndarray) -> None:
                self._tree = tree(others)

            def query(self, shapes: np.ndarray) -> np.ndarray:
                found = self._tree.query(shapes)
                sizes.append(found.shape[1])
                return found

        monkeypatch.setattr(shapely, "STRtree", Counting)
        monkeypatch.setattr("wsi_parse.evaluate.pairs._MAX_AT_ONCE", most)
        monkeypatch.setattr("wsi_parse.evaluate.pairs._AT_ONCE", 100)
        for pairs, expected in zip((overlapping(shapes, shapes), overlapping_itself(shapes)), whole, strict=True):
            for name in ("one", "other", "area"):
                assert np.array_equal(getattr(pairs, name), getattr(expected, name))
        assert max(sizes) <= most
        assert len(sizes) > 20

    def test_of_heaps_without_end_are_refused_before_memory_is_gone(self) -> None:
        """So many squares make 27 million pairs: as the critic's file did."""
        heap = np.full(5_200, shapely.box(0, 0, 9, 9), object)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UsageError, match=r"too often: 5,200 and 5,200 make over 5,000,000.*imported several times"):
            overlapping(heap, heap)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
        assert len(overlapping(heap[:300], heap[:300])) == 90_000

    @given(heaps())
    def test_pairs_within_one_set_come_once(self, heap: tuple[list[np.ndarray], list[str]]) -> None:
        pairs = overlapping_itself(of_heap(heap).geometry)
        expected = {
            (one, other): int((heap[0][one] & heap[0][other]).sum())
            for one in range(len(heap[0]))
            for other in range(one + 1, len(heap[0]))
            if (heap[0][one] & heap[0][other]).any()
        }
        found = dict(zip(zip(pairs.one.tolist(), pairs.other.tolist(), strict=True), pairs.area, strict=True))
        assert found == pytest.approx(expected)


class TestAssign:
    @given(st.integers(1, 7), st.integers(1, 7), st.randoms(use_true_random=False))
    def test_chooses_most_pairs_and_then_most_gain(self, height: int, width: int, random: object) -> None:
        rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
        gain = np.where(rng.random((height, width)) < 0.5, rng.uniform(0.5, 1, (height, width)), 0)
        one, other = np.nonzero(gain)
        chosen = assign(one, other, gain[one, other])
        assert len({*one[chosen].tolist()}) == len({*other[chosen].tolist()}) == len(chosen)
        rows, columns = linear_sum_assignment(np.where(gain > 0, 1000 + gain, 0), maximize=True)
        best = gain[rows, columns]
        assert len(chosen) == np.count_nonzero(best)
        assert gain[one, other][chosen].sum() == pytest.approx(best.sum())

    def test_a_hundred_thousand_doubles_take_no_time(self) -> None:
        one = np.repeat(np.arange(100_000), 2)
        chosen = assign(one, np.arange(200_000), np.tile([0.7, 0.9], 100_000))
        assert np.array_equal(chosen, np.arange(1, 200_000, 2))


class TestCovers:
    @given(heaps(), heaps(), st.booleans())
    def test_count_each_place_once(
        self, truth: tuple[list[np.ndarray], list[str]], pred: tuple[list[np.ndarray], list[str]], clip: bool
    ) -> None:
        sets = of_heap(truth).geometry, of_heap(pred).geometry
        where = np.zeros((14, 14), bool)
        where[3:11, 2:9] = True
        pieces = []
        for shapes in sets:
            whole = Pieces(shapes).clipped(shapely.box(2, 3, 9, 11)) if clip else Pieces(shapes)
            pieces.append(whole.without_overlaps(overlapping_itself(shapes)))
        covers = [np.any([np.zeros((14, 14), bool), *heap[0]], axis=0) & (where | (not clip)) for heap in (truth, pred)]
        for piece, cover in zip(pieces, covers, strict=True):
            assert piece.area.sum() == pytest.approx(cover.sum())
        common = common_areas(pieces[0], pieces[1], overlapping(*sets))
        assert common.sum() == pytest.approx((covers[0] & covers[1]).sum())
