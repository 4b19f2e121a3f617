"""Figures: against rasters, and what must hold for all of them."""

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.made import annotations, heaps, of_heap, of_scene, scenes
from tests.evaluate.rasters import scores
from wsi_parse.annotations import Annotations
from wsi_parse.evaluate import Evaluation, EvaluationOptions, evaluate, summed
from wsi_parse.evaluate.evaluation import EXTRA, MISSED

ComparedSets = tuple[np.ndarray, list[str]]
Heap = tuple[list[np.ndarray], list[str]]
PX = EvaluationOptions(radius="4px")
SYMMETRIC = ("dice", "iou", "f1", "sq", "pq", "rq", "centre_f1", "matched", "centre_matched")
SHARES = ("dice", "iou", "precision", "recall", "f1", "sq", "pq", "aji", "centre_precision", "centre_recall")


def figures(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    return {name: one.to_dict() for name, one in {**evaluation.classes, "": evaluation.everything}.items()}


def masks_of(compared: ComparedSets, name: str | None = None) -> list[np.ndarray]:
    labels, classes = compared
    return [labels == number + 1 for number, known in enumerate(classes) if name in (None, known)]


def of_class(heap: Heap, name: str | None) -> list[np.ndarray]:
    return [mask for mask, known in zip(*heap, strict=True) if name in (None, known)]


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {key: found[key] for key in expected} == pytest.approx(expected, nan_ok=False)


class TestAgainstRasters:
    @given(scenes(), scenes())
    def test_of_objects_apart(self, truth: ComparedSets, pred: ComparedSets) -> None:
        evaluation = evaluate(of_scene(truth), of_scene(pred), PX)
        assert set(evaluation.classes) == {*truth[1], *pred[1]}
        check(evaluation.everything.to_dict(), scores(masks_of(truth), masks_of(pred)))
        for name, result in evaluation.classes.items():
            check(result.to_dict(), scores(masks_of(truth, name), masks_of(pred, name)))

    @given(heaps(), heaps())
    def test_of_objects_that_overlap(self, truth: Heap, pred: Heap) -> None:
        evaluation = evaluate(of_heap(truth), of_heap(pred), PX)
        for name in (None, *evaluation.classes):
            result = evaluation.everything if name is None else evaluation.classes[name]
            expected = scores(of_class(truth, name), of_class(pred, name))
            # One object may fit two equally well; the definition does not say which of them then counts.
            check(result.to_dict(), {key: value for key, value in expected.items() if key != "aji"})

    def test_by_hand(self) -> None:
        truth = annotations([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10), shapely.box(40, 0, 50, 10)])
        pred = annotations([shapely.box(0, 0, 10, 8), shapely.box(24, 0, 34, 10)])
        result = evaluate(truth, pred, EvaluationOptions(mpp=0.5)).everything.to_dict()
        expected = {
            "matched": 1,
            "precision": 1 / 2,
            "recall": 1 / 3,
            "f1": 2 / 5,
            "sq": 0.8,
            "pq": 0.8 / 2.5,
            "aji": (80 + 60) / (100 + 140 + 100),
            "truth_area_um2": 75,
            "pred_area_um2": 45,
            "common_area_um2": 35,
            "dice": 280 / 480,
            "iou": 140 / 340,
            "count_error": -1 / 3,
            "area_error": -0.4,
            "centre_matched": 2,
            "centre_f1": 0.8,
        }
        check(result, expected)


class TestProperties:
    @given(scenes())
    def test_a_file_agrees_with_itself(self, compared: ComparedSets) -> None:
        evaluation = evaluate(of_scene(compared), of_scene(compared), PX)
        for result in figures(evaluation).values():
            assert all(result[key] in (None, 1.0) for key in SHARES)
            assert result["count_error"] in (None, 0)
            assert result["area_error"] in (None, 0)
        assert all(truth == pred for truth, pred in evaluation.confusion)

    @given(heaps())
    def test_also_where_objects_lie_on_one_another(self, heap: Heap) -> None:
        evaluation = evaluate(of_heap(heap), of_heap(heap), PX)
        for result in figures(evaluation).values():
            assert all(result[key] is None or result[key] == pytest.approx(1) for key in SHARES)
        assert all(truth == pred for truth, pred in evaluation.confusion)

    @given(heaps(), heaps())
    def test_the_order_of_the_two_sets_does_not_matter(self, one: Heap, other: Heap) -> None:
        there = figures(evaluate(of_heap(one), of_heap(other), PX))
        back = figures(evaluate(of_heap(other), of_heap(one), PX))
        assert there.keys() == back.keys()
        for name, result in there.items():
            assert [result[key] for key in SYMMETRIC] == pytest.approx([back[name][key] for key in SYMMETRIC])
            assert (result["truth"], result["precision"]) == (back[name]["pred"], back[name]["recall"])

    @given(heaps(), heaps())
    def test_shares_are_shares_and_counts_add_up(self, truth: Heap, pred: Heap) -> None:
        evaluation = evaluate(of_heap(truth), of_heap(pred), PX)
        for result in figures(evaluation).values():
            assert all(result[key] is None or 0 <= result[key] <= 1 for key in SHARES)
            assert result["matched"] <= min(result["truth"], result["pred"])
            assert result["iou"] <= result["dice"]
            assert result["pq"] <= result["f1"]
        table = evaluation.confusion
        assert sum(count for (name, _), count in table.items() if name != EXTRA) == len(truth[0])
        assert sum(count for (_, name), count in table.items() if name != MISSED) == len(pred[0])
        assert table.total() == len(truth[0]) + len(pred[0]) - evaluation.everything.matched

    @given(scenes(), scenes(), scenes(), scenes())
    def test_slides_add_up_as_if_they_were_one(
        self, truth: ComparedSets, pred: ComparedSets, truth2: ComparedSets, pred2: ComparedSets
    ) -> None:
        def beside(one: Annotations, other: Annotations) -> Annotations:
            moved = shapely.transform(other.geometry, lambda points: points + 100)
            return annotations([*one.geometry, *moved], [*one.class_name, *other.class_name])

        parts = [evaluate(of_scene(truth), of_scene(pred), PX), evaluate(of_scene(truth2), of_scene(pred2), PX)]
        whole = evaluate(beside(of_scene(truth), of_scene(truth2)), beside(of_scene(pred), of_scene(pred2)), PX)
        total = summed(parts)
        assert total.confusion == whole.confusion
        for name, result in figures(total).items():
            assert result == pytest.approx(figures(whole)[name])

    @given(st.integers(0, 3))
    def test_nothing_can_be_compared(self, count: int) -> None:
        some = annotations([shapely.box(20 * k, 0, 20 * k + 9, 9) for k in range(count)])
        result = evaluate(some, annotations([]), PX).everything.to_dict()
        assert result["f1"] == result["dice"] == result["pq"] == result["aji"] == (0.0 if count else 1.0)
        assert result["precision"] is None
        assert evaluate(annotations([]), some, PX).everything.to_dict()["recall"] is None
