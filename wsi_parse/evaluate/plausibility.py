"""Notes about truths and predictions that can be compared, but hardly belong together."""

import unicodedata

import numpy as np
import shapely

from wsi_parse.evaluate.object_sets import ObjectSet
from wsi_parse.evaluate.pairs import Pairs

# Of so many groups of classes a note is given.
_MAX_NAMED = 5


def nothing_in_common(truth: ObjectSet, pred: ObjectSet, pairs: Pairs) -> list[str]:
    """Note that no object of one file overlaps one of the other.

    Parameters
    ----------
    truth, pred : ObjectSet
        In one frame.
    pairs : Pairs
        Objects of both that overlap and count.

    Returns
    -------
    list of str
        Empty if objects overlap, or if one of the files has none.
    """
    if len(pairs) or not (truth.counted.any() and pred.counted.any()):
        return []
    return [
        "No object of the prediction overlaps one of the truth: they may be of different slides, or their coordinates "
        f"may count from different points. The truth lies at {_place(truth)}, the prediction at {_place(pred)}."
    ]


def _place(one: ObjectSet) -> str:
    left, top, right, bottom = np.rint(shapely.total_bounds(one.shapes[one.counted])).astype(int).tolist()
    return f"x {left:,} to {right:,}, y {top:,} to {bottom:,} px"


def classes_alike(truth: ObjectSet, pred: ObjectSet) -> list[str]:
    """Note which classes differ only in the case of letters, in spaces or in their Unicode form."""
    groups: dict[str, set[str]] = {}
    for name in {*truth.names.tolist(), *pred.names.tolist()}:
        groups.setdefault(" ".join(unicodedata.normalize("NFC", name).casefold().split()), set()).add(name)
    alike = sorted(sorted(names) for names in groups.values() if len(names) > 1)
    notes = [
        f"The classes {' and '.join(map(repr, names))} differ only in upper and lower case or in spaces; they are "
        "compared as different classes."
        for names in alike[:_MAX_NAMED]
    ]
    more = len(alike) - len(notes)
    return notes + ([f"This holds for {more:,} more groups of classes."] if more else [])
