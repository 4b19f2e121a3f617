"""Cut and merged nuclei are counted as they are, and few large nuclei of real tissue are cut."""

import numpy as np
import pytest

from tests.shared import shared_data_root
from workflows.train_mini.parts import LARGE_UM2, Parts, parts_of, parts_of_tiles
from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import SetSettings
from wsi_parse.models.mini.facts import EMBEDDED, READ_MPP
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.weights import load_network

SIDE = 40
# A square of these pixels is a large nucleus.
assert (SIDE // 2 * READ_MPP) ** 2 > LARGE_UM2


def squares(*boxes: tuple[slice, slice]) -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, box in enumerate(boxes, 1):
        labels[box] = number
    return labels


LEFT, RIGHT, ALL = slice(0, 10), slice(10, 20), slice(0, 20)


class TestCounts:
    def test_what_is_found_whole(self) -> None:
        one = squares((ALL, ALL))
        assert parts_of(one, one) == Parts(known=1, large=1, cut=0, merged=0)

    def test_halves_of_a_large_nucleus(self) -> None:
        assert parts_of(squares((ALL, LEFT), (ALL, RIGHT)), squares((ALL, ALL))) == Parts(1, 1, 1, 0)

    def test_a_neighbour_that_only_reaches_in_is_no_part(self) -> None:
        found = squares((ALL, slice(0, 17)), (ALL, slice(17, 30)))
        assert parts_of(found, squares((ALL, ALL), (ALL, slice(20, 30)))) == Parts(2, 1, 0, 0)

    def test_halves_of_a_small_nucleus_do_not_count(self) -> None:
        found = squares((LEFT, slice(0, 5)), (LEFT, slice(5, 10)))
        assert parts_of(found, squares((LEFT, LEFT))) == Parts(1, 0, 0, 0)

    def test_of_three_in_one_two_are_lost(self) -> None:
        found = squares((ALL, slice(0, 30)))
        known = squares((ALL, LEFT), (ALL, RIGHT), (ALL, slice(20, 30)))
        assert parts_of(found, known) == Parts(3, 0, 0, 2)

    def test_nothing_found_and_nothing_known(self) -> None:
        nothing = squares()
        assert parts_of(nothing, squares((ALL, ALL))) == Parts(1, 1, 0, 0)
        assert parts_of(squares((ALL, ALL)), nothing) == Parts()

    def test_shares_are_those_of_all_tiles(self) -> None:
        both = Parts(10, 4, 3, 1) + Parts(30, 0, 0, 3)
        assert (both.cut_share, both.merged_share) == (0.75, 0.1)
        assert (Parts().cut_share, Parts().merged_share) == (0, 0)


@pytest.mark.whole
def test_large_nuclei_of_carcinoma() -> None:
    """The held-out fields have too few large nuclei, so these are of training patients: half of them were cut."""
    tiles = read_set("tnbc", SetSettings(reader="tnbc", folder="tnbc", mpp=0.25), shared_data_root() / "nuclei")
    parts = parts_of_tiles(fuse(load_network(EMBEDDED)), [tile for tile in tiles if tile.group not in {"03", "06"}])
    assert parts.large == 20
    assert parts.cut_share <= 0.4
    assert parts.merged_share <= 0.04
