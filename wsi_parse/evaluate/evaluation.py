"""One file against another: figures, confusion of classes, what a reviewer changed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.annotations import Annotations, read_annotations
from wsi_parse.errors import UsageError
from wsi_parse.evaluate.count_metrics import ComparedSets, count_metrics, lost_ids
from wsi_parse.evaluate.figures import Figures
from wsi_parse.evaluate.frames import pixel_size, shift_between
from wsi_parse.evaluate.object_sets import (
    nuclei_alone,
    object_set_of,
    region_of_class,
    union,
    without_class,
    without_tissue,
)
from wsi_parse.evaluate.options import EvaluationOptions
from wsi_parse.evaluate.pairs import Pairs, overlapping
from wsi_parse.evaluate.review import Review, review
from wsi_parse.notice import RESEARCH_ONLY

MISSED, EXTRA = "(missed)", "(extra)"
_MEANS = ("dice", "iou", "f1", "pq", "aji")


@dataclass(frozen=True)
class Evaluation:
    """How well a prediction agrees with the truth.

    Parameters
    ----------
    name : str
        Of the slide.
    classes : mapping of str to Figures
        Objects match those of their class only.
    everything : Figures
        All objects, whatever their class.
    confusion : Counter of (str, str)
        Class in the truth and in the prediction of objects matched whatever their class; "(missed)" stands for no
        predicted object, "(extra)" for no true one.
    review : Review or None
        None where the files share no ids.
    notes : tuple of str
        What was taken for granted, left out or mended.
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
        """Return the means over classes, each class as heavy as any other (mPQ and the like)."""
        found = list(self.classes.values())
        return {name: float(np.mean([getattr(one, name) for one in found])) if found else None for name in _MEANS}

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
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
    """Two files, matched: what an evaluation is counted from, and a picture drawn from.

    Parameters
    ----------
    name : str
    compared : ComparedSets
    matched : Pairs
        One to one, whatever their class.
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
        """Count."""
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
    """Compare a prediction with the truth; nothing is rasterised.

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
    Objects match one to one where their IoU is above ``rules.iou``; where objects of one file overlap one another, as
    many are matched as can be, with the largest sum of IoU. :class:`Figures` says what the scores are.

    With a region (``rules.within``, ``rules.within_class``) objects count whose centroid lies in it, on their whole
    outline; the areas of Dice and IoU are those of all objects, clipped to it. In the review an object that both files
    have counts where it does so in either.

    Annotations of class "Tissue" are no objects: runs write them to show where was looked. Where ``rules.objects`` is
    None and one file has cells with nuclei, the other detections only, these are taken for nuclei, and cells are
    compared by their nucleus.

    Raises
    ------
    UsageError
        Where a file cannot be read, or the region is not there.

    >>> from wsi_parse.annotations import Annotations
    >>> boxes = shapely.box([0, 20], 0, [10, 30], 10)
    >>> words = np.array(["Tumor", "Tumor"], object)
    >>> truth = Annotations(boxes, np.array(["a", "b"], object), words, np.array(["cell"] * 2, object), None, {}, {})
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
    shift, notes = shift_between(pred.provenance, truth.provenance)
    scale_um = pixel_size(options.mpp, [pred.provenance, truth.provenance])
    if scale_um is None and options.radius_number()[1] == "um":
        notes.append(
            "The pixel size is not known: areas are in px2, no centres are matched; give --mpp or a --radius in px."
        )
    region = None
    if options.within is not None:
        region, more = _region_of(options.within, truth)
        notes += more
    elif options.within_class is not None:
        region = region_of_class(truth, options.within_class)
        truth, pred = (without_class(one, options.within_class) for one in (truth, pred))
    truth, pred, more = without_tissue(truth, pred)
    by_nucleus, hint = nuclei_alone(truth, pred, options.objects)
    notes += more + hint
    true_side, said = object_set_of(truth, options, "truth", by_nucleus=by_nucleus)
    pred_side, also = object_set_of(_moved(pred, shift), options, "prediction", by_nucleus=by_nucleus)
    if region is not None:
        true_side, pred_side = true_side.inside(region), pred_side.inside(region)
    pairs = overlapping(true_side.shapes, pred_side.shapes)
    compared = ComparedSets(true_side, pred_side, pairs, region, scale_um)
    changes, ids = review(true_side, pred_side)
    if changes is not None:
        ids += lost_ids(compared)
    if not (true_side.counted.any() or pred_side.counted.any()):
        ids.append("No object of either file counts: nothing was compared.")
    return Comparison(
        name,
        compared,
        compared.matched(options.iou, compared.counted()),
        changes,
        options,
        (*notes, *said, *also, *ids),
    )


def summed(evaluations: list[Evaluation], name: str = "all slides") -> Evaluation:
    """Add up several: every object is as heavy as any other, whatever its slide."""
    classes: dict[str, Figures] = {}
    confusion: Counter[tuple[str, str]] = Counter()
    for one in evaluations:
        for class_name, figures in one.classes.items():
            classes[class_name] = classes[class_name] + figures if class_name in classes else figures
        confusion.update(one.confusion)
    reviews = [one.review for one in evaluations if one.review is not None]
    notes = []
    if reviews and len(reviews) < len(evaluations):
        notes.append(f"Only {len(reviews)} of {len(evaluations)} slides share ids with their prediction.")
    return Evaluation(
        name,
        dict(sorted(classes.items())),
        reduce(add, (one.everything for one in evaluations), Figures()),
        confusion,
        reduce(add, reviews) if reviews else None,
        tuple(notes),
    )


def _radius_px(options: EvaluationOptions, scale_um: tuple[float, float] | None) -> tuple[float, float] | None:
    radius, unit = options.radius_number()
    if unit == "px":
        return radius, radius
    return None if scale_um is None else (radius / scale_um[0], radius / scale_um[1])


def _region_of(path: Path, truth: Annotations) -> tuple[Any, list[str]]:
    """Read a region into the frame of the truth."""
    found = read_annotations(path)
    if not len(found):
        raise UsageError(f"The region file {path.name} holds no polygon.", "Draw an area in QuPath and export it.")
    shift, notes = shift_between(found.provenance, truth.provenance)
    return union(_moved(found, shift).geometry), [note.replace("prediction", "region") for note in notes]


def _moved(annotations: Annotations, shift: Any) -> Annotations:  # noqa: ANN401 - a float array
    if not shift.any():
        return annotations
    nucleus = annotations.nucleus
    return replace(
        annotations,
        geometry=shapely.transform(annotations.geometry, lambda points: points + shift),
        nucleus=None if nucleus is None else shapely.transform(nucleus, lambda points: points + shift),
    )
