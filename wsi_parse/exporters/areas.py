"""Areas of a slide as locked annotations in GeoJSON for QuPath: the tissue, and the region of interest."""

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
#: A class that QuPath does not count.
REGION = Prompt("region", "region of interest", "region", "Region*", (0, 0, 180), known=True)
_IDS = uuid.UUID("5f0c7f0e-6f0b-5d3a-9c53-0d4b7a1f5c11")


def write_areas(path: Path, polygons: NDArray[np.object_], what: Prompt, context: ExportContext) -> None:
    """Write areas as locked annotations.

    Parameters
    ----------
    path : Path
    polygons : object array (N,)
        In level-0 pixels, valid for QuPath.
    what : Prompt
        What they are; gives the name of their class, and its colour.
    context : ExportContext
        Its classes are not used.
    """
    ids = [str(uuid.uuid5(_IDS, shape.hex())) for shape in shapely.to_wkb(polygons)]
    batch = ObjectBatch(polygons, np.zeros(len(polygons), np.int16), np.array(ids, object), {})
    with GeoJsonExporter(path, replace(context, classes=ClassTable.of([what])), locked=True) as exporter:
        exporter.write(batch)
