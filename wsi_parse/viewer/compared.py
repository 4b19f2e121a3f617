"""How the objects of a file agree with those of a run: matched as `evaluate` matches them, one to one."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.count_metrics import ComparedSets
from wsi_parse.evaluate.object_sets import ObjectSet
from wsi_parse.evaluate.options import EvaluationOptions
from wsi_parse.evaluate.pairs import overlapping
from wsi_parse.exporters.areas import TISSUE
from wsi_parse.qupath.classes import is_counted
from wsi_parse.viewer.object_table import ObjectTable

#: The objects of the file that the run has, too; with another class; not at all; and those that only the run has.
AGREE, OTHER_CLASS, ONLY_HERE, ONLY_IN_RESULT = range(4)
STATES = ("agree", "other class", "only here", "only in the result")
#: Of objects that are not compared, such as the outline of the tissue.
LEFT_OUT = -1


@dataclass(frozen=True)
class Agreement:
    """How each object of two sets agrees with the other set.

    Parameters
    ----------
    of_file : int array (N,)
        AGREE, OTHER_CLASS, ONLY_HERE or LEFT_OUT of each object of the file.
    only_in_result : bool array (M,)
        Which objects of the run have none in the file.
    """

    of_file: NDArray[np.int8]
    only_in_result: NDArray[np.bool_]


def agreement(file: ObjectTable, result: ObjectTable) -> Agreement:
    """Match the objects of a file with those of a run; all of both are in memory meanwhile.

    Parameters
    ----------
    file, result : ObjectTable

    Notes
    -----
    Objects match if their intersection over union is above a half, as in :func:`wsi_parse.evaluate.evaluate`; the
    class "X: Unsure" is X.
    """
    ours, compared = _object_set(file)
    theirs, counted = _object_set(result)
    sets = ComparedSets(ours, theirs, overlapping(ours.shapes, theirs.shapes), None, None)
    matched = sets.matched(EvaluationOptions().iou, sets.pairs)
    state = np.full(len(ours), ONLY_HERE, np.int8)
    state[matched.one] = np.where(sets.same_class(matched), AGREE, OTHER_CLASS)
    of_file = np.full(len(compared), LEFT_OUT, np.int8)
    of_file[compared] = state
    left = counted.copy()
    left[np.flatnonzero(counted)[matched.other]] = False
    return Agreement(of_file, left)


def _object_set(table: ObjectTable) -> tuple[ObjectSet, NDArray[np.bool_]]:
    """Return the objects of a table that are compared, and which these are."""
    # As evaluate does: what QuPath does not count, and the tissue that runs outline, is no object.
    classes = [row.prompt.class_name for row in table.classes.rows]
    taken = np.array([is_counted(name) and name != TISSUE.class_name for name in classes], bool)
    names = np.array([None, *classes], object)[1:]
    shapes, index = [np.zeros(0, object)], [np.zeros(0, np.int16)]
    for batch in table.batches():
        shapes.append(batch.geometry)
        index.append(batch.class_index)
    whole, rows = np.concatenate(shapes), np.concatenate(index)
    invalid = ~shapely.is_valid(whole)
    whole[invalid] = shapely.make_valid(whole[invalid], method="structure", keep_collapsed=False)
    kept = taken[rows] & (shapely.area(whole) > 0)
    count = int(kept.sum())
    return ObjectSet(whole[kept], np.full(count, None, object), names[rows[kept]], np.ones(count, bool)), kept
