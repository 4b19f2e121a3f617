"""The least certain objects, where there are classes with probabilities, and where there are not."""

from pathlib import Path

import numpy as np
import shapely

from tests.viewer.made import TABLE, batch_of, layer_of
from wsi_parse.viewer.places import least_certain_objects


def boxes(count: int) -> list[shapely.Polygon]:
    return [shapely.box(40 * n, 0, 40 * n + 10, 10) for n in range(count)]


def test_the_lowest_class_probabilities_come_first_and_ties_by_row(tmp_path: Path) -> None:
    probability = np.array([0.9, 0.5, np.nan, 0.5, 0.6, 0.5], np.float32)
    store = layer_of(tmp_path, batch_of(boxes(6), 0, probability)).store
    found = least_certain_objects(store, TABLE, 3)
    assert [(one["row"], one["x"], one["y"]) for one in found] == [(1, 45, 5), (3, 125, 5), (5, 205, 5)]
    assert all(one["text"].endswith(", class probability 0.500") for one in found)
    assert [one["row"] for one in least_certain_objects(store, TABLE)] == [1, 3, 5, 4, 0]


def test_each_class_has_its_own(tmp_path: Path) -> None:
    """Many objects of one class leave room for those of another."""
    probability, classes = np.array([0.1, 0.2, 0.3, 0.9, 0.8], np.float32), np.array([0, 0, 0, 1, 1])
    found = least_certain_objects(layer_of(tmp_path, batch_of(boxes(5), classes, probability)).store, TABLE, 2)
    assert [(one["row"], one["class_index"]) for one in found] == [(0, 0), (1, 0), (4, 1), (3, 1)]


def test_without_objects_or_probabilities_there_are_none(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    nothing = np.full(2, np.nan, np.float32)
    assert least_certain_objects(layer_of(tmp_path / "a", batch_of(boxes(2), 0, nothing)).store, TABLE) == []
    assert least_certain_objects(layer_of(tmp_path / "b").store, TABLE) == []
