"""`python -m benchmarks.beside_network`: what is told of some runs; a run is parted into its network and the rest."""

from pathlib import Path

import pytest

from benchmarks.beside_network import Split, split_of, told_of
from tests.small_slides import tissue_with_nuclei, write_slide

ROOT = Path(__file__).parents[2]


def test_medians_and_range_are_told() -> None:
    told = told_of([Split(whole, 4.0, 12, "aa") for whole in (10.0, 9.0, 14.0)])
    assert (told["beside_cpu_s"], told["from_s"], told["to_s"], told["network_cpu_s"]) == (6.0, 5.0, 10.0, 4.0)
    assert (told["rounds"], told["network_calls"], told["outputs_sha256"]) == (3, 12, "aa")


def test_runs_with_different_outputs_are_no_measure() -> None:
    with pytest.raises(ValueError, match="too many values"):
        told_of([Split(9.0, 4.0, 12, "aa"), Split(9.0, 4.0, 12, "bb")])


@pytest.mark.whole
def test_the_network_is_a_part_of_a_run(tmp_path: Path) -> None:
    split = split_of(ROOT, write_slide(tmp_path / "a.svs", tissue_with_nuclei(1000, 1000)[0]))
    # One call warms up.
    assert split.calls >= 2
    assert 0 < split.network_s < split.whole_s
