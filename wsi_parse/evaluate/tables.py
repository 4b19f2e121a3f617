"""Evaluations as files: JSON with everything, CSV with one row per class."""

import csv
import json
from io import StringIO
from pathlib import Path

from wsi_parse.evaluate.evaluation import Evaluation, summed
from wsi_parse.evaluate.figures import Figures
from wsi_parse.files import write_text
from wsi_parse.text import RESEARCH_ONLY, for_csv

ALL = "(all objects)"
#: What is shown of objects and of their outlines, on the screen and on the page.
OBJECT_FIGURES = ("truth", "pred", "count_error", "precision", "recall", "f1", "centre_f1")
OUTLINE_FIGURES = ("sq", "pq", "aji", "dice", "iou", "area_error")


def largest_classes(one: Evaluation, most: int) -> dict[str, Figures]:
    """Return the classes with most objects in both files, in their order."""
    largest = sorted(one.classes, key=lambda name: -one.classes[name].truth - one.classes[name].pred)[:most]
    return {name: figures for name, figures in one.classes.items() if name in largest}


def write_json(evaluations: list[Evaluation], path: Path) -> None:
    """Write one evaluation, or several with their sum, atomically."""
    write_text(path, json.dumps(to_dict(evaluations), allow_nan=False, indent=1) + "\n")


def to_dict(evaluations: list[Evaluation]) -> dict[str, object]:
    """Return what :func:`write_json` writes."""
    if len(evaluations) == 1:
        return evaluations[0].to_dict()
    return {
        "notice": RESEARCH_ONLY,
        "sum": summed(evaluations).to_dict(),
        "slides": [one.to_dict() for one in evaluations],
    }


def write_csv(evaluations: list[Evaluation], path: Path) -> None:
    """Write one row for each class of each slide, and one for all objects; undefined values are empty."""
    rows = [*evaluations, *([summed(evaluations)] if len(evaluations) > 1 else [])]
    # Areas are in µm² or px², so slides may have different columns.
    columns = list(
        dict.fromkeys(key for one in rows for figures in _figures(one).values() for key in figures.to_dict())
    )
    text = StringIO()
    writer = csv.DictWriter(text, ["slide", "class", *columns, "notice"], lineterminator="\n")
    writer.writeheader()
    for one in rows:
        for name, figures in _figures(one).items():
            texts = {"slide": for_csv(one.name), "class": for_csv(name), "notice": RESEARCH_ONLY}
            writer.writerow({**texts, **figures.to_dict()})
    write_text(path, text.getvalue())


def _figures(one: Evaluation) -> dict[str, Figures]:
    return {**one.classes, ALL: one.everything}
