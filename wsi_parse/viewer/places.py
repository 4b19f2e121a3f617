"""Places to look at: the least certain objects, and fields chosen by the rules of the page of a run."""

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Frame
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.report.choose import FIELDS, least_certain
from wsi_parse.report.fields import LEAST_CERTAIN, choose_fields
from wsi_parse.report.lattice import FieldLattice
from wsi_parse.run.manifest import RunManifest
from wsi_parse.settings.sections import TissueSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.detection import detect_tissue
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.viewer.store import Store

_AT_ONCE = 100_000
# So many objects are stepped through one by one.
_OBJECTS = 100
# What tells how certain an object is, the best first, and what it is called.
_CERTAINTY = {"class_probability": "class probability", "probability_mean": "mean probability"}


def places_of(
    slide: Slide, store: Store, classes: ClassTable, manifest: RunManifest, region: NDArray[np.object_]
) -> dict[str, list[dict[str, Any]]]:
    """Choose the places of a run: places.json.

    Parameters
    ----------
    slide : Slide
    store : Store
        Of the run's objects.
    classes : ClassTable
    manifest : RunManifest
    region : object array (N,)
        Polygons of the region of interest that the run wrote; empty if it wrote none.
    """
    tissue = _tissue(slide, manifest, region)
    lattice = FieldLattice(slide, tissue, classes)
    _count(lattice, store)
    groups = choose_fields(lattice, classes, int(manifest.digests.objects or "0", 16))
    # Whoever asked the run for more of the least certain fields steps through all of them.
    most = max(FIELDS, int(manifest.settings["export"].get("least_certain") or 0))
    side, fields = lattice.field_steps, []
    for group in groups:
        corners = least_certain(lattice, most) if group.title == LEAST_CERTAIN else group.corners
        for row, column in corners:
            left, top = lattice.level0(np.array([column, row], float)).round(2).tolist()
            right, bottom = lattice.level0(np.array([column + side, row + side], float)).round(2).tolist()
            box = {"x0": left, "y0": top, "x1": right, "y1": bottom}
            fields.append({**box, "kind": group.title, "text": group.why(row, column)})
    return {"objects": least_certain_objects(store, classes), "fields": fields}


def least_certain_objects(store: Store, classes: ClassTable, most: int = _OBJECTS) -> list[dict[str, Any]]:
    """Choose the objects of whose class the model is least certain, the least certain first.

    Returns
    -------
    list of dict
        Row, centroid (x, y) in level-0 pixels, class, and a text that says why; at most `most` of each class. Objects
        whose probability is not known are left out; models that do not tell the probability of a class tell the mean
        of that of the object.
    """
    name, rows = next((one for one in _CERTAINTY if one in store.measurements), None), np.asarray(store.row)
    if name is None:
        return []
    probability = np.asarray(store.values[store.measurements.index(name)])
    class_index = np.asarray(store.class_index)
    of_classes = (class_index == number for number in range(len(classes.rows)))
    chosen = np.concatenate([_lowest(probability, rows, one, most) for one in of_classes])
    found = []
    for index in chosen[np.lexsort((rows[chosen], probability[chosen]))].tolist():
        x, y = np.asarray(store.centroid[index], float).round(2).tolist()
        of_class = int(class_index[index])
        text = f"{classes.rows[of_class].name}, {_CERTAINTY[name]} {probability[index]:.3f}"
        found.append({"row": int(rows[index]), "x": x, "y": y, "class_index": of_class, "text": text})
    return found


def _lowest(
    probability: NDArray[np.float32], rows: NDArray[np.integer], allowed: NDArray[np.bool_], most: int
) -> NDArray[np.int64]:
    """Return where the lowest probabilities are among those allowed; of equal ones the first rows are taken."""
    known = np.flatnonzero(allowed & ~np.isnan(probability))
    if len(known) > most:
        # All that are as low as the last one: which of them are taken depends on their rows alone.
        known = known[probability[known] <= np.partition(probability[known], most - 1)[most - 1]]
    return known[np.lexsort((rows[known], probability[known]))][:most]


def _count(lattice: FieldLattice, store: Store) -> None:
    """Count all objects from the buffers; which part of a step regions cover is not asked here."""
    nothing = shapely.Polygon()
    for start in range(0, len(store.row), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        index = np.asarray(store.class_index[some]).astype(np.int16)
        measured = {name: np.asarray(store.values[number, some]) for number, name in enumerate(store.measurements)}
        batch = ObjectBatch(np.full(len(index), nothing, object), index, np.full(len(index), "", object), measured)
        lattice.add(batch, np.asarray(store.centroid[some]))


def _tissue(slide: Slide, manifest: RunManifest, region: NDArray[np.object_]) -> TissueMask:
    """Detect the tissue as the run did; none if the run had a region of interest of which nothing is known."""
    if manifest.settings["slide"]["roi"] is not None and not len(region):
        return _no_tissue(slide)
    found = detect_tissue(slide, TissueSettings.model_validate(manifest.settings["tissue"]))
    return replace(found, region=shapely.union_all(region)) if len(region) else found


def _no_tissue(slide: Slide) -> TissueMask:
    size = slide.pixel_size
    scale = max(slide.dimensions)
    return TissueMask(np.zeros((1, 1), bool), Frame(1, 1, size.x_um * scale, size.y_um * scale, scale, scale))
