"""Compare two files: figures, confusion of classes, changes of a reviewer."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.annotations import DAMAGED, Annotations, read_annotations
from wsi_parse.annotations.roi import DRAW_AND_EXPORT, check_in_pixels
from wsi_parse.errors import UsageError
from wsi_parse.evaluate.count_metrics import ComparedSets, count_metrics, lost_ids
from wsi_parse.evaluate.figures import Figures
from wsi_parse.evaluate.frames import pixel_size, shift_between
from wsi_parse.evaluate.object_sets import (
    ObjectSet,
    nuclei_alone,
    object_set_of,
    region_of_class,
    union,
    without_class,
    without_tissue,
)
from wsi_parse.evaluate.options import EvaluationOptions
from wsi_parse.evaluate.pairs import Pairs, overlapping
from wsi_parse.evaluate.plausibility import classes_alike, nothing_in_common
from wsi_parse.evaluate.review import Review, review
from wsi_parse.text import RESEARCH_ONLY

# Scores are given for each class; a file with more has something else for a class.
_MAX_CLASSES = 1_000
MISSED, EXTRA = "(missed)", "(extra)"
_MEANS = ("dice", "iou", "f1", "pq", "aji")


@dataclass(frozen=True)
class Evaluation:
    """How well a prediction agrees with the truth.

    Parameters
    ----------
    name : str
        Name of the slide.
    classes : mapping of str to Figures
        Objects match those of the same class only.
    everything : Figures
        All objects, regardless of class.
    confusion : Counter of (str, str)
        Class in the truth and in the prediction of objects that were matched regardless of class; "(missed)" means no
        predicted object, "(extra)" no true one.
    review : Review or None
        None if the files have no id in common.
    notes : tuple of str
        What was assumed, left out or repaired.
    """

    name: str
    classes: Mapping[str, Figures]
    everything: Figures
    confusion: Counter[tuple[str, str]]
    review: Review | None
    notes: tuple[str, ...] = ()

    def is_empty(self) -> bool:
        """Return whether no object of either file counts: the scores then say nothing."""
        return not (self.everything.truth or self.everything.pred)

    def means(self) -> dict[str, float | None]:
        """Return the means over classes, each class with the same weight (for example mPQ)."""
        found = list(self.classes.values())
        return {name: float(np.mean([getattr(one, name) for one in found])) if found else None for name in _MEANS}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dict for JSON."""
        return {
            "notice": RESEARCH_ONLY,
            "name": self.name,
            "classes": {name: figures.to_dict() for name, figures in self.classes.items()},
            "all": self.everything.to_dict(),
            "mean_over_classes": self.means(),
            "confusion": [
                {"truth": truth, "pred": pred, "count": count}
                for (truth, pred), count in sorted(self.confusion.items())
            ],
            "review": None if self.review is None else self.review.to_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Comparison:
    """Two matched files: the base of an evaluation, and of a picture.

    Parameters
    ----------
    name : str
    compared : ComparedSets
    matched : Pairs
        One to one, regardless of class.
    review : Review or None
    options : EvaluationOptions
    notes : tuple of str
    """

    name: str
    compared: ComparedSets
    matched: Pairs
    review: Review | None
    options: EvaluationOptions
    notes: tuple[str, ...]

    def evaluation(self) -> Evaluation:
        """Count the figures."""
        radius_px = _radius_px(self.options, self.compared.scale_um)
        classes, everything = count_metrics(self.compared, self.matched, self.options.iou, radius_px)
        return Evaluation(self.name, classes, everything, self._confusion(), self.review, self.notes)

    def _confusion(self) -> Counter[tuple[str, str]]:
        truth, pred = self.compared.truth, self.compared.pred
        left_truth, left_pred = truth.counted.copy(), pred.counted.copy()
        left_truth[self.matched.one] = left_pred[self.matched.other] = False
        pairs = zip(truth.names[self.matched.one].tolist(), pred.names[self.matched.other].tolist(), strict=True)
        counts = Counter(pairs)
        counts.update((name, MISSED) for name in truth.names[left_truth].tolist())
        counts.update((EXTRA, name) for name in pred.names[left_pred].tolist())
        return counts


def evaluate(
    truth: Annotations | Path, pred: Annotations | Path, options: EvaluationOptions | None = None
) -> Evaluation:
    """Compare a prediction with the truth, as polygons without rasterising.

    Parameters
    ----------
    truth, pred : Annotations or Path
        The truth may be a corrected export of the prediction.
    options : EvaluationOptions, optional

    Returns
    -------
    Evaluation

    Notes
    -----
    Objects match one to one if their IoU is above ``options.iou``. If objects of one file overlap one another, as many
    as possible are matched, with the largest sum of IoU. :class:`Figures` defines the scores.

    With a region (``options.roi``, ``options.roi_class``) objects count whose centroid lies in it, on their whole
    outline; the areas of Dice and IoU are those of all objects, clipped to it. In the review an object that both files
    have counts where it does so in either.

    Annotations of class "Tissue" do not count: runs write them to show what was searched. If ``options.objects`` is
    None and one file has cells with nuclei, the other detections only, these are taken as nuclei, and cells are
    compared by their nucleus.

    Raises
    ------
    UsageError
        If a file cannot be read, or the region does not exist.

    >>> from wsi_parse.annotations import Annotations
    >>> boxes = shapely.box([0, 20], 0, [10, 30], 10)
    >>> names = np.array(["Tumor", "Tumor"], object)
    >>> truth = Annotations(boxes, np.array(["a", "b"], object), names, np.array(["cell"] * 2, object), None, {}, {})
    >>> evaluate(truth, truth).classes["Tumor"].pq
    1.0
    """
    return compare(truth, pred, options).evaluation()


def compare(
    truth: Annotations | Path, pred: Annotations | Path, options: EvaluationOptions | None = None, name: str = ""
) -> Comparison:
    """Match the objects of two files; see :func:`evaluate`."""
    options = options or EvaluationOptions()
    truth, pred = (read_annotations(one) if isinstance(one, Path) else one for one in (truth, pred))
    for side, one in (("truth", truth), ("prediction", pred)):
        _check_coordinates(f"The {side}", one)
    shift, notes = shift_between(pred.provenance, truth.provenance)
    scale_um = pixel_size(options.mpp, [pred.provenance, truth.provenance])
    if scale_um is None and options.radius_number()[1] == "um":
        notes.append(
            "The pixel size is not known: areas are in px², and centres are not matched. "
            "Give --mpp, or a --radius in px."
        )
    region = None
    if options.roi is not None:
        region, more = _region_of(options.roi, truth)
        notes += more
    elif options.roi_class is not None:
        region = region_of_class(truth, options.roi_class)
        truth, pred = (without_class(one, options.roi_class) for one in (truth, pred))
    truth, pred, more = without_tissue(truth, pred)
    by_nucleus, hint = nuclei_alone(truth, pred, options.objects)
    notes += more + hint
    truth_set, truth_notes = object_set_of(truth, options, "truth", by_nucleus=by_nucleus)
    pred_set, pred_notes = object_set_of(_moved(pred, shift), options, "prediction", by_nucleus=by_nucleus)
    _check_classes(truth_set, pred_set)
    if region is not None:
        truth_set, pred_set = truth_set.inside(region), pred_set.inside(region)
    pairs = overlapping(truth_set.shapes, pred_set.shapes)
    compared = ComparedSets(truth_set, pred_set, pairs, region, scale_um)
    changes, ids = review(truth_set, pred_set)
    doubts = [
        *nothing_in_common(truth_set, pred_set, compared.counted()),
        *classes_alike(truth_set, pred_set),
    ]
    if changes is not None:
        ids += lost_ids(compared)
    if not (truth_set.counted.any() or pred_set.counted.any()):
        ids.append("Neither file has objects to compare, so nothing was compared.")
    return Comparison(
        name,
        compared,
        compared.matched(options.iou, compared.counted()),
        changes,
        options,
        (*doubts, *notes, *truth_notes, *pred_notes, *ids),
    )


def summed(evaluations: list[Evaluation], name: str = "all slides") -> Evaluation:
    """Add up several evaluations; every object has the same weight, whatever its slide."""
    classes: dict[str, Figures] = {}
    confusion: Counter[tuple[str, str]] = Counter()
    for one in evaluations:
        for class_name, figures in one.classes.items():
            classes[class_name] = classes[class_name] + figures if class_name in classes else figures
        confusion.update(one.confusion)
    reviews = [one.review for one in evaluations if one.review is not None]
    notes = []
    if reviews and len(reviews) < len(evaluations):
        notes.append(f"Only {len(reviews)} of {len(evaluations)} slides have ids in common with their prediction.")
    return Evaluation(
        name,
        dict(sorted(classes.items())),
        reduce(add, (one.everything for one in evaluations), Figures()),
        confusion,
        reduce(add, reviews) if reviews else None,
        tuple(notes),
    )


def _check_coordinates(what: str, found: Annotations, *, all_of: bool = True) -> None:
    """Refuse annotations if all that have coordinates have damaged ones; with `all_of` False, if some have."""
    damaged = found.skipped.get(DAMAGED, 0)
    if damaged and not (all_of and len(found)):
        objects = f"{'all ' if all_of else ''}{damaged:,} objects"
        raise UsageError(
            f"{what} has {DAMAGED} ({objects}).", "Run `wsi-parse check` on the file to find them, and export it again."
        )


def _check_classes(truth: ObjectSet, pred: ObjectSet) -> None:
    count = len(set(truth.names.tolist()) | set(pred.names.tolist()))
    if count > _MAX_CLASSES:
        raise UsageError(
            f"The files have {count:,} classes, and at most {_MAX_CLASSES:,} are compared.",
            "Check whether something else, such as an id, was written as the class.",
        )


def _radius_px(options: EvaluationOptions, scale_um: tuple[float, float] | None) -> tuple[float, float] | None:
    radius, unit = options.radius_number()
    if unit == "px":
        return radius, radius
    return None if scale_um is None else (radius / scale_um[0], radius / scale_um[1])


def _region_of(path: Path, truth: Annotations) -> tuple[Any, list[str]]:
    """Read a region into the frame of the truth."""
    found = read_annotations(path)
    _check_coordinates(f"The region file {path.name}", found, all_of=False)
    if not len(found):
        raise UsageError(f"The region file {path.name} contains no polygon.", DRAW_AND_EXPORT)
    shift, notes = shift_between(found.provenance, truth.provenance)
    area = union(_moved(found, shift).geometry)
    if not area.is_empty:
        check_in_pixels(path.name, area, found.crs)
    return area, [note.replace("prediction", "region") for note in notes]


def _moved(annotations: Annotations, shift: Any) -> Annotations:  # noqa: ANN401 - a float array
    if not shift.any():
        return annotations
    nucleus = annotations.nucleus
    return replace(
        annotations,
        geometry=shapely.transform(annotations.geometry, lambda points: points + shift),
        nucleus=None if nucleus is None else shapely.transform(nucleus, lambda points: points + shift),
    )
