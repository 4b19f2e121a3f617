"""The objects of a file as they are compared: mended, in one frame, with the class they count for."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations import Annotations
from wsi_parse.errors import UsageError
from wsi_parse.evaluate.options import EvaluationOptions, Objects
from wsi_parse.exporters.geojson import TISSUE
from wsi_parse.prompts import UNSURE

# QuPath never counts a class whose name ends so: "Region*", "Ignore*".
_NO_CLASS = "*"
_CELLS = ("detection", "cell")


@dataclass(frozen=True)
class ObjectSet:
    """Objects of the truth or of the prediction.

    Parameters
    ----------
    shapes : object array (N,)
        Valid shapely Polygons and MultiPolygons, in pixels of the truth's frame.
    ids : object array (N,)
        Strings; None where the file has none.
    names : object array (N,)
        The class that each counts for.
    counted : bool array (N,)
        Which lie where it is looked at.
    """

    shapes: NDArray[np.object_]
    ids: NDArray[np.object_]
    names: NDArray[np.object_]
    counted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.shapes)

    def inside(self, region: Any) -> "ObjectSet":  # noqa: ANN401 - a shapely geometry
        """Count only objects whose centroid lies in a region; on its border is inside."""
        shapely.prepare(region)
        return replace(self, counted=np.asarray(shapely.intersects(region, shapely.centroid(self.shapes))))


def object_set_of(
    annotations: Annotations, options: EvaluationOptions, name: str, *, by_nucleus: bool = False
) -> tuple[ObjectSet, list[str]]:
    """Choose and mend the objects of a file.

    Parameters
    ----------
    annotations : Annotations
    options : EvaluationOptions
    name : str
        "truth" or "prediction".
    by_nucleus : bool
        Whether cells that have a nucleus are compared by it, whatever the rules say.

    Returns
    -------
    Side
    list of str
        What was left out, mended or counted as something else.
    """
    shapes, kept, notes = _chosen(annotations, options, by_nucleus=by_nucleus)
    said = np.array(annotations.class_name, object)
    left = Counter(said[kept & _ends(said, _NO_CLASS)].tolist())
    kept &= ~_ends(said, _NO_CLASS)
    notes += [f"{count:,} of class {words} left out, as QuPath does." for words, count in sorted(left.items())]
    notes += [f"{count:,} left out: {words}." for words, count in sorted(annotations.skipped.items())]
    unsure = int(_ends(said[kept], UNSURE).sum())
    if unsure and not options.keep_unsure:
        notes.append(f"{unsure:,} of a class 'X{UNSURE}' count as X; --keep-unsure keeps them apart.")
    shapes, mended, gone = _mended(shapes[kept])
    if mended:
        notes.append(f"{mended:,} outlines that cross themselves were mended.")
    if gone.any():
        notes.append(f"{int(gone.sum()):,} without area left out.")
    names = np.array([None, *map(options.class_name, said[kept][~gone].tolist())], object)[1:]
    side = ObjectSet(shapes[~gone], annotations.ids[kept][~gone], names, np.ones(len(names), bool))
    return side, [f"{name.capitalize()}: {note}" for note in notes]


def region_of_class(truth: Annotations, class_name: str) -> Any:  # noqa: ANN401 - a shapely geometry
    """Return the union of the truth's annotations of a class.

    Raises
    ------
    UsageError
        Where there is none.
    """
    chosen = (truth.class_name == class_name) & (truth.object_type == "annotation")
    if not chosen.any():
        known = sorted({str(name) for name in truth.class_name[truth.object_type == "annotation"].tolist() if name})
        raise UsageError(
            f"The truth has no annotation of class {class_name!r} to look within.",
            f"Annotated are: {', '.join(known[:12]) or 'none with a class'}.",
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
    """Return both files without the tissue that a run wrote and the import script laid in, and say so in a line."""
    left = [without_class(one, TISSUE.class_name) for one in (truth, pred)]
    gone = [len(one) - len(rest) for one, rest in zip((truth, pred), left, strict=True)]
    counts = f"{gone[0]:,} of the truth, {gone[1]:,} of the prediction left out"
    return (
        left[0],
        left[1],
        [f"Annotations of class {TISSUE.class_name} are no objects: {counts}."] if any(gone) else [],
    )


def nuclei_alone(truth: Annotations, pred: Annotations, objects: Objects | None) -> tuple[bool, list[str]]:
    """Return whether cells of one side meet nuclei of the other, and are to be compared by their nucleus; say so."""
    have = [bool(side.nucleus is not None and not shapely.is_missing(side.nucleus).all()) for side in (truth, pred)]
    plain = pred if have[0] else truth
    kinds = set(plain.object_type.tolist())
    if have[0] == have[1] or "detection" not in kinds or "cell" in kinds or objects in ("nuclei", "regions"):
        return False, []
    with_nuclei, without = ("truth", "prediction") if have[0] else ("prediction", "truth")
    told = f"The {with_nuclei} has cells with nuclei, the {without} detections without"
    if objects is None:
        return True, [f"{told}: nuclei are compared; --objects cells takes whole cells."]
    return False, [f"{told}: whole cells are compared with what may be nuclei; --objects nuclei compares nuclei."]


def union(shapes: NDArray[np.object_]) -> Any:  # noqa: ANN401 - a shapely geometry
    """Return the union of shapes, whatever their state."""
    return shapely.union_all(_mended(shapes)[0])


def _chosen(
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
            notes.append(f"{several}; --objects cells or --objects regions parts them.")
        return shapes, np.ones(len(kinds), bool), notes
    return shapes, ~cells if options.objects == "regions" else cells, []


def _mended(shapes: NDArray[np.object_]) -> tuple[NDArray[np.object_], int, NDArray[np.bool_]]:
    """Make shapes valid; say how many were not, and which have no area."""
    shapes = shapes.copy()
    wrong = ~shapely.is_valid(shapes)
    shapes[wrong] = shapely.make_valid(shapes[wrong], method="structure", keep_collapsed=False)
    return shapes, int(wrong.sum()), ~(shapely.area(shapes) > 0)


def _ends(names: NDArray[np.object_], ending: str) -> NDArray[np.bool_]:
    return np.array([str(name).endswith(ending) for name in names.tolist()], bool)
