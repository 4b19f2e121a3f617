"""ObjectSet: the objects of a file as they are compared, repaired, in one frame, with the class they count for."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations import Annotations
from wsi_parse.errors import UsageError
from wsi_parse.evaluate.options import EvaluationOptions, Objects
from wsi_parse.exporters.areas import TISSUE
from wsi_parse.prompts import UNSURE
from wsi_parse.qupath.classes import is_counted

# Of so many classes a note says how many objects are left out.
_MAX_NAMED = 5
_CELLS = ("detection", "cell")


@dataclass(frozen=True)
class ObjectSet:
    """Objects of the truth or of the prediction.

    Parameters
    ----------
    shapes : object array (N,)
        Valid shapely Polygons and MultiPolygons, in pixels of the truth's frame.
    ids : object array (N,)
        Strings; None if the file has no id.
    names : object array (N,)
        The class that each object counts for.
    counted : bool array (N,)
        Which objects count: those in the region that is evaluated.
    """

    shapes: NDArray[np.object_]
    ids: NDArray[np.object_]
    names: NDArray[np.object_]
    counted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.shapes)

    def inside(self, region: Any) -> "ObjectSet":  # noqa: ANN401 - a shapely geometry
        """Count only objects whose centroid lies in a region or on its border."""
        shapely.prepare(region)
        return replace(self, counted=np.asarray(shapely.intersects(region, shapely.centroid(self.shapes))))


def object_set_of(
    annotations: Annotations, options: EvaluationOptions, name: str, *, by_nucleus: bool = False
) -> tuple[ObjectSet, list[str]]:
    """Select and repair the objects of a file.

    Parameters
    ----------
    annotations : Annotations
    options : EvaluationOptions
    name : str
        "truth" or "prediction".
    by_nucleus : bool
        Whether cells that have a nucleus are compared by it, whatever the options are.

    Returns
    -------
    ObjectSet
    list of str
        What was left out, repaired or counted as another class.
    """
    shapes, kept, notes = _selected(annotations, options, by_nucleus=by_nucleus)
    class_names = np.array(annotations.class_name, object)
    counted = np.array([is_counted(str(one)) for one in class_names.tolist()], bool)
    ignored = Counter(class_names[kept & ~counted].tolist())
    kept &= counted
    named = sorted(ignored)[:_MAX_NAMED]
    notes += [f"{ignored[one]:,} objects of class {one} are left out, as in QuPath." for one in named]
    if more := sum(ignored.values()) - sum(ignored[one] for one in named):
        notes.append(
            f"{more:,} objects of {len(ignored) - len(named):,} other classes that end in * are left out, as in QuPath."
        )
    notes += [f"{count:,} features are left out: {reason}." for reason, count in sorted(annotations.skipped.items())]
    unsure = int(_ends_with(class_names[kept], UNSURE).sum())
    if unsure and not options.keep_unsure:
        count = "1 object of a class" if unsure == 1 else f"{unsure:,} objects of classes"
        verb = "counts" if unsure == 1 else "count"
        notes.append(f"{count} 'X{UNSURE}' {verb} as X; --keep-unsure separates them.")
    shapes, repaired, empty = _repaired(shapes[kept])
    if repaired:
        notes.append(f"{repaired:,} outlines that cross themselves were repaired.")
    if empty.any():
        notes.append(f"{int(empty.sum()):,} objects without area are left out.")
    names = np.array([None, *map(options.class_name, class_names[kept][~empty].tolist())], object)[1:]
    object_set = ObjectSet(shapes[~empty], annotations.ids[kept][~empty], names, np.ones(len(names), bool))
    return object_set, [f"{name.capitalize()}: {note}" for note in notes]


def region_of_class(truth: Annotations, class_name: str) -> Any:  # noqa: ANN401 - a shapely geometry
    """Return the union of the truth's annotations of a class.

    Raises
    ------
    UsageError
        If there is none.
    """
    chosen = (truth.class_name == class_name) & (truth.object_type == "annotation")
    if not chosen.any():
        known = sorted({str(name) for name in truth.class_name[truth.object_type == "annotation"].tolist() if name})
        raise UsageError(
            f"The truth has no annotation of class {class_name!r}, so there is no region of interest.",
            f"Choose one of its classes: {', '.join(known[:12])}."
            if known
            else "Draw an annotation of this class in QuPath, and export the objects again.",
        )
    return union(truth.geometry[chosen])


def without_class(annotations: Annotations, class_name: str) -> Annotations:
    """Return a file without its annotations of a class."""
    kept = (annotations.class_name != class_name) | (annotations.object_type != "annotation")
    nucleus = annotations.nucleus
    return replace(
        annotations,
        geometry=annotations.geometry[kept],
        ids=annotations.ids[kept],
        class_name=annotations.class_name[kept],
        object_type=annotations.object_type[kept],
        nucleus=None if nucleus is None else nucleus[kept],
    )


def without_tissue(truth: Annotations, pred: Annotations) -> tuple[Annotations, Annotations, list[str]]:
    """Return both files without the tissue annotations of a run, and a note that says so."""
    left = [without_class(one, TISSUE.class_name) for one in (truth, pred)]
    removed = [len(one) - len(rest) for one, rest in zip((truth, pred), left, strict=True)]
    counts = f"{removed[0]:,} of the truth and {removed[1]:,} of the prediction"
    return (
        left[0],
        left[1],
        [f"Annotations of class {TISSUE.class_name} are left out: {counts}."] if any(removed) else [],
    )


def nuclei_alone(truth: Annotations, pred: Annotations, objects: Objects | None) -> tuple[bool, list[str]]:
    """Return whether cells of one file are compared with nuclei of the other by their nucleus, and a note."""
    have = [bool(one.nucleus is not None and not shapely.is_missing(one.nucleus).all()) for one in (truth, pred)]
    plain = pred if have[0] else truth
    kinds = set(plain.object_type.tolist())
    if have[0] == have[1] or "detection" not in kinds or "cell" in kinds or objects in ("nuclei", "regions"):
        return False, []
    with_nuclei, without = ("truth", "prediction") if have[0] else ("prediction", "truth")
    difference = f"The {with_nuclei} has cells with nuclei, the {without} has detections without nuclei"
    if objects is None:
        return True, [f"{difference}: nuclei are compared; --objects cells compares whole cells."]
    return False, [
        f"{difference}: whole cells are compared with objects that may be nuclei; --objects nuclei compares nuclei."
    ]


def union(shapes: NDArray[np.object_]) -> Any:  # noqa: ANN401 - a shapely geometry
    """Return the union of shapes, valid or not."""
    return shapely.union_all(_repaired(shapes)[0])


def _selected(
    annotations: Annotations, options: EvaluationOptions, *, by_nucleus: bool
) -> tuple[NDArray[np.object_], NDArray[np.bool_], list[str]]:
    shapes, kinds = annotations.geometry, annotations.object_type
    cells = np.isin(kinds.astype(str), _CELLS)
    if (by_nucleus or options.objects == "nuclei") and annotations.nucleus is not None:
        shapes = np.where(shapely.is_missing(annotations.nucleus), shapes, annotations.nucleus)
    if options.objects in (None, "all"):
        notes = []
        if cells.any() and not cells.all():
            several = f"{int(cells.sum()):,} cells and {int((~cells).sum()):,} regions are compared together"
            notes.append(f"{several}; choose one kind with --objects cells or --objects regions.")
        return shapes, np.ones(len(kinds), bool), notes
    return shapes, ~cells if options.objects == "regions" else cells, []


def _repaired(shapes: NDArray[np.object_]) -> tuple[NDArray[np.object_], int, NDArray[np.bool_]]:
    """Make shapes valid; return how many were not, and which have no area."""
    shapes = shapes.copy()
    invalid = ~shapely.is_valid(shapes)
    shapes[invalid] = shapely.make_valid(shapes[invalid], method="structure", keep_collapsed=False)
    return shapes, int(invalid.sum()), ~(shapely.area(shapes) > 0)


def _ends_with(names: NDArray[np.object_], ending: str) -> NDArray[np.bool_]:
    return np.array([str(name).endswith(ending) for name in names.tolist()], bool)
