"""Places to look at: the fields that the page of a run shows, and the least certain ones, chosen by the same rules."""

from typing import Any

import numpy as np
import shapely

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


def places_of(
    slide: Slide, store: Store, classes: ClassTable, manifest: RunManifest
) -> dict[str, list[dict[str, Any]]]:
    """Choose the places of a run: places.json.

    Parameters
    ----------
    slide : Slide
    store : Store
        Of the run's objects.
    classes : ClassTable
    manifest : RunManifest

    Notes
    -----
    Fields at random lie on tissue. A run in a region of interest does not keep the region, so they are left out there.
    """
    whole = manifest.settings["slide"]["roi"] is None
    tissue = _tissue(slide, manifest) if whole else _no_tissue(slide)
    lattice = FieldLattice(slide, tissue, classes)
    _count(lattice, store)
    groups = choose_fields(lattice, classes, int(manifest.digests.objects or "0", 16))
    side, fields, doubtful = lattice.field_steps, [], []
    for group in groups:
        for row, column in group.corners:
            left, top = lattice.level0(np.array([column, row], float)).round(2).tolist()
            right, bottom = lattice.level0(np.array([column + side, row + side], float)).round(2).tolist()
            box = {"x0": left, "y0": top, "x1": right, "y1": bottom}
            fields.append({**box, "kind": group.title, "text": group.why(row, column)})
    most = max(FIELDS, int(manifest.settings["export"].get("least_certain") or 0))
    why = next(group.why for group in groups if group.title == LEAST_CERTAIN)
    for row, column in least_certain(lattice, most):
        x, y = lattice.level0(np.array([column, row], float) + side / 2).round(2).tolist()
        doubtful.append({"x": x, "y": y, "side_um": side * lattice.step_um, "text": why(row, column)})
    return {"least_certain": doubtful, "fields": fields}


def _count(lattice: FieldLattice, store: Store) -> None:
    """Count all objects from the buffers; which part of a step regions cover is not asked here."""
    nothing = shapely.Polygon()
    for start in range(0, len(store.row), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        index = np.asarray(store.class_index[some]).astype(np.int16)
        measured = {name: np.asarray(store.values[number, some]) for number, name in enumerate(store.measurements)}
        batch = ObjectBatch(np.full(len(index), nothing, object), index, np.full(len(index), "", object), measured)
        lattice.add(batch, np.asarray(store.centroid[some]))


def _tissue(slide: Slide, manifest: RunManifest) -> TissueMask:
    """Detect the tissue as the run did."""
    return detect_tissue(slide, TissueSettings.model_validate(manifest.settings["tissue"]))


def _no_tissue(slide: Slide) -> TissueMask:
    size = slide.pixel_size
    scale = max(slide.dimensions)
    return TissueMask(np.zeros((1, 1), bool), Frame(1, 1, size.x_um * scale, size.y_um * scale, scale, scale))
