"""pairs_within: the same pairs as SciPy's tree finds, at any density and distance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from wsi_parse.objects.pairs import pairs_within


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60, unique=True),
    st.floats(0.5, 30.0) | st.integers(1, 30).map(float) | st.integers(1, 500).map(lambda square: square**0.5),
)
def test_the_same_pairs_as_a_tree(points: list[tuple[int, int]], distance: float) -> None:
    pixels = np.array(points, np.int64).reshape(-1, 2)
    found = [tuple(sorted(pair)) for pair in pairs_within(pixels, distance).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == (KDTree(pixels).query_pairs(distance) if points else set())


def test_many_points_in_a_row() -> None:
    pixels = np.stack([np.zeros(500, np.int64), np.arange(500)], axis=1)
    assert len(pairs_within(pixels, 2.0)) == 499 + 498
