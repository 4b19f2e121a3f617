"""Review: what a reviewer changed, with objects of both files matched by their UUIDs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.intersection import intersection_areas
from wsi_parse.evaluate.object_sets import ObjectSet

# QuPath keeps float32 and writes two decimals: together at most 0.015 px at an offset of 200,000 px.
_ROUNDING_PX = 0.02


@dataclass(frozen=True)
class Review:
    """What became of the predicted objects, by id.

    Parameters
    ----------
    kept : list of str
        Same outline, same class.
    reshaped : list of dict
        Another outline: id, IoU of both, areas in px² before and after. May also be reclassified.
    reclassified : list of dict
        Another class: id, before, after.
    deleted, added : list of str
        None stands for an object without an id.
    """

    kept: list[str]
    reshaped: list[dict[str, Any]]
    reclassified: list[dict[str, Any]]
    deleted: list[str | None]
    added: list[str | None]

    def __add__(self, other: "Review") -> "Review":
        return Review(
            self.kept + other.kept,
            self.reshaped + other.reshaped,
            self.reclassified + other.reclassified,
            self.deleted + other.deleted,
            self.added + other.added,
        )

    def counts(self) -> dict[str, int]:
        """Return the counts; an object that is reshaped and reclassified is in both."""
        names = ("kept", "reshaped", "reclassified", "deleted", "added")
        both = {item["id"] for item in self.reshaped} & {item["id"] for item in self.reclassified}
        return {**{name: len(getattr(self, name)) for name in names}, "reshaped_and_reclassified": len(both)}

    @property
    def sentence(self) -> str:
        """What the reviewer did, in a sentence.

        >>> Review(["a", "b"], [{"id": "c"}], [{"id": "c"}], ["d"], [None]).sentence
        'Of 4 predicted objects, the reviewer kept 2, redrew 1, reclassified 1 and deleted 1 (1 redrawn and
        reclassified), and added 1.'
        """
        counts = self.counts()
        kept, redrawn, reclassified, deleted, added, both = counts.values()
        total = kept + redrawn + reclassified - both + deleted
        changed = f"kept {kept:,}, redrew {redrawn:,}, reclassified {reclassified:,} and deleted {deleted:,}"
        twice = f" ({both:,} redrawn and reclassified)" if both else ""
        noun = "object" if total == 1 else "objects"
        return f"Of {total:,} predicted {noun}, the reviewer {changed}{twice}, and added {added:,}."

    def to_dict(self) -> dict[str, Any]:
        """Return counts, changes of class, and all ids."""
        changes = Counter((item["before"], item["after"]) for item in self.reclassified)
        ious = [item["iou"] for item in self.reshaped]
        before = sum(item["area_before_px2"] for item in self.reshaped)
        after = sum(item["area_after_px2"] for item in self.reshaped)
        return {
            "counts": self.counts(),
            "class_changes": [
                {"before": before, "after": after, "count": count}
                for (before, after), count in sorted(changes.items(), key=lambda item: (-item[1], item[0]))
            ],
            "reshaped_iou_mean": float(np.mean(ious)) if ious else None,
            "reshaped_area_change": (after - before) / before if before else None,
            "kept": self.kept,
            "reshaped": self.reshaped,
            "reclassified": self.reclassified,
            "deleted": self.deleted,
            "added": self.added,
        }


def review(truth: ObjectSet, pred: ObjectSet) -> tuple[Review | None, list[str]]:
    """Compare a corrected file with what was predicted.

    Parameters
    ----------
    truth, pred : ObjectSet
        An object that is in both files counts if it counts in either.

    Returns
    -------
    Review or None
        None if the files have no id in common.
    list of str
        Notes on ids.
    """
    indices = [_index_by_id(one) for one in (truth, pred)]
    notes = [
        f"{name}: {'1 object repeats' if count == 1 else f'{count:,} objects repeat'} an earlier id. The scores count "
        "every object; what was kept, reshaped or reclassified is told of the first object of an id only."
        for name, one, found in (("Truth", truth, indices[0]), ("Prediction", pred, indices[1]))
        if (count := sum(name is not None for name in one.ids.tolist()) - len(found))
    ]
    shared = [name for name in indices[1] if name in indices[0]]
    if not shared:
        return None, [*notes, "No object has the same id in both files, so the changes of a reviewer are not known."]
    new = np.array([indices[0][name] for name in shared], np.int64)
    old = np.array([indices[1][name] for name in shared], np.int64)
    inside = truth.counted[new] | pred.counted[old]
    new, old = new[inside], old[inside]
    reshaped, reclassified = ~same_outlines(truth.shapes[new], pred.shapes[old]), truth.names[new] != pred.names[old]
    changes = Review(
        pred.ids[old[~reshaped & ~reclassified]].tolist(),
        _reshaped(pred.ids[old[reshaped]], pred.shapes[old[reshaped]], truth.shapes[new[reshaped]]),
        [
            {"id": name, "before": before, "after": after}
            for name, before, after in zip(
                pred.ids[old[reclassified]].tolist(),
                pred.names[old[reclassified]].tolist(),
                truth.names[new[reclassified]].tolist(),
                strict=True,
            )
        ],
        pred.ids[only_in(pred, truth)].tolist(),
        truth.ids[only_in(truth, pred)].tolist(),
    )
    without = int(sum(name is None for name in truth.ids[truth.counted].tolist()))
    if without:
        notes.append(f"Truth: {without:,} objects without an id count as added.")
    return changes, notes


def same_outlines(one: NDArray[np.object_], other: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which pairs of shapes are equal up to the rounding of an export.

    If ring starts or directions differ, or rounding changed the order of points, no part that only one of them covers
    may be thicker than rounding explains.
    """
    same = np.zeros(len(one), bool)
    close = np.flatnonzero((np.abs(shapely.bounds(one) - shapely.bounds(other)) <= _ROUNDING_PX).all(axis=1))
    first, second = one[close], other[close]
    exact = shapely.equals_exact(shapely.normalize(first), shapely.normalize(second), _ROUNDING_PX)
    same[close[exact]] = True
    rest = close[~exact]
    apart = shapely.symmetric_difference(one[rest], other[rest])
    same[rest] = shapely.is_empty(shapely.buffer(apart, -_ROUNDING_PX))
    return same


def _index_by_id(object_set: ObjectSet) -> dict[str, int]:
    indices: dict[str, int] = {}
    for index, name in enumerate(object_set.ids.tolist()):
        if name is not None:
            indices.setdefault(name, index)
    return indices


def only_in(one: ObjectSet, other: ObjectSet) -> NDArray[np.bool_]:
    """Return which objects count and have an id that the other set does not have: added or deleted ones."""
    known = set(other.ids.tolist()) - {None}
    return one.counted & np.array([name not in known for name in one.ids.tolist()], bool)


def _reshaped(
    ids: NDArray[np.object_], before: NDArray[np.object_], after: NDArray[np.object_]
) -> list[dict[str, Any]]:
    common, old, new = intersection_areas(before, after), shapely.area(before), shapely.area(after)
    iou = common / (old + new - common)
    return [
        {"id": name, "iou": share, "area_before_px2": first, "area_after_px2": second}
        for name, share, first, second in zip(ids.tolist(), iou.tolist(), old.tolist(), new.tolist(), strict=True)
    ]
