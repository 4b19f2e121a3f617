"""Truths and predictions that hardly belong together are compared, and this is said."""

import numpy as np
import shapely

from tests.evaluate.made import annotations
from wsi_parse.annotations import Annotations
from wsi_parse.evaluate import EvaluationOptions, evaluate

BOXES = shapely.box([0, 50, 100], 0, [20, 70, 120], 20)
FAR = shapely.transform(BOXES, lambda points: np.add(points, (100_000, 0)))
WORDS = ("No object of the prediction overlaps", "differ only in")


def said(truth: Annotations, pred: Annotations, options: EvaluationOptions | None = None) -> list[str]:
    notes = evaluate(truth, pred, options).to_dict()["notes"]
    assert isinstance(notes, list)
    return [note for note in notes if any(words in note for words in WORDS)]


def test_files_that_overlap_nowhere() -> None:
    (note,) = said(annotations(BOXES), annotations(FAR))
    assert "different slides" in note
    assert "The truth lies at x 0 to 120, y 0 to 20 px, the prediction at x 100,000 to 100,120, y 0 to 20 px." in note
    for other in (BOXES, BOXES[1:2], []):
        assert said(annotations(BOXES), annotations(other)) == []
        assert said(annotations(other), annotations(BOXES)) == []


def test_classes_that_differ_in_case_or_spaces() -> None:
    truth = annotations(BOXES, ["Nucleus", "Tumor", "Dr\u00fcse"])
    notes = said(truth, annotations(BOXES, ["nucleus ", "Tumor", "Dru\u0308se"]))
    assert [note.split(" differ")[0] for note in notes] == [
        "The classes 'Dru\u0308se' and 'Dr\u00fcse'",
        "The classes 'Nucleus' and 'nucleus '",
    ]
    assert said(truth, truth) == []
    many = [[f"{letter}{number}" for number in range(8)] for letter in "aA"]
    eight = shapely.box(np.arange(8) * 40.0, 0, np.arange(8) * 40.0 + 20, 20)
    notes = evaluate(annotations(eight, many[0]), annotations(eight, many[1])).notes
    assert sum("differ only in" in note for note in notes) == 5
    assert any("3 more groups of classes" in note for note in notes)
