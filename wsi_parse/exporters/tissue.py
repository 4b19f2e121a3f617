"""The tissue of a slide as locked annotations in GeoJSON, which every run writes for QuPath."""

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt

TISSUE = Prompt("tissue", "tissue", "region", "Tissue", (110, 140, 150), known=True)
_TISSUE_IDS = uuid.UUID("5f0c7f0e-6f0b-5d3a-9c53-0d4b7a1f5c11")


def write_tissue(path: Path, polygons: NDArray[np.object_], context: ExportContext) -> None:
    """Write tissue as locked annotations.

    Parameters
    ----------
    path : Path
    polygons : object array (N,)
        In level-0 pixels, valid for QuPath.
    context : ExportContext
        Its classes are not used.
    """
    ids = [str(uuid.uuid5(_TISSUE_IDS, shape.hex())) for shape in shapely.to_wkb(polygons)]
    batch = ObjectBatch(polygons, np.zeros(len(polygons), np.int16), np.array(ids, object), {})
    with GeoJsonExporter(path, replace(context, classes=ClassTable.of([TISSUE])), locked=True) as exporter:
        exporter.write(batch)
