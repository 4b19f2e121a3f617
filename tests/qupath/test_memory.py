"""Checking and repairing hold only a piece of the file, and one number for each feature."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.qupath.made import collection, feature
from wsi_parse.annotations import pieces
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.repair import repair

pytestmark = pytest.mark.whole

LABEL = {"name": "Tumor", "color": "#c80000"}


def long_file(path: Path, count: int, between: str) -> Path:
    """Write features that each break a rule, all on one line or one per line."""
    begin, end = json.dumps(collection()).split("[]")
    with path.open("w") as file:
        file.write(begin + "[")
        for number in range(count):
            file.write(f",{between}" * bool(number) + json.dumps(feature(number=number, classification=LABEL)))
        file.write("]" + end)
    return path


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("between", ["", "\n"])
@pytest.mark.parametrize("fixing", [False, True])
def test_memory_is_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str, fixing: bool) -> None:
    monkeypatch.setattr(pieces, "_PIECE", 1 << 16)
    peaks = []
    for count in (2_000, 2_000, 8_000):
        path = long_file(tmp_path / "a.geojson", count, between)
        work = (lambda: repair(path, tmp_path / "b.geojson")) if fixing else (lambda: check_file(path))  # noqa: B023
        peaks.append(peak(work))
    # The first run also loads modules that are loaded only once.
    assert peaks[2] < 1.1 * peaks[1] + 5 * 8 * 8_000
