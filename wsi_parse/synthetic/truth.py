"""The true nuclei of a synthetic slide as GeoJSON for QuPath, streamed."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely

from wsi_parse.files import atomic
from wsi_parse.synthetic.nuclei import Kind
from wsi_parse.synthetic.slide import SyntheticSlide

COLOURS = {
    Kind.NEOPLASTIC: (200, 0, 0),
    Kind.EPITHELIAL: (255, 160, 40),
    Kind.INFLAMMATORY: (160, 90, 160),
    Kind.CONNECTIVE: (60, 140, 60),
}
_GRID_PX = 0.25
_NAMESPACE = uuid.UUID("6d0f3b0e-4f0e-5a51-9f7d-0b6f0d1f2c33")


def truth_features(slide: SyntheticSlide) -> Iterator[dict[str, Any]]:
    """Yield one GeoJSON feature (a QuPath detection) for each nucleus, in level-0 pixels, square by square.

    The class is the name of the kind; outlines lie on the quarter-pixel grid.
    """
    for nuclei in slide.iterate_nuclei():
        if not len(nuclei):
            continue
        polygons = shapely.set_precision(shapely.polygons(slide.outlines(nuclei)), _GRID_PX)
        for nucleus, polygon in zip(nuclei, polygons, strict=True):
            kind = Kind(int(nucleus["kind"]))
            name = f"{slide.seed}/{kind.name}/{nucleus['x']}/{nucleus['y']}"
            yield {
                "type": "Feature",
                "id": str(uuid.uuid5(_NAMESPACE, name)),
                "geometry": shapely.geometry.mapping(polygon),
                "properties": {
                    "objectType": "detection",
                    "classification": {"name": kind.name.lower(), "color": list(COLOURS[kind])},
                },
            }


def write_truth(path: Path, slide: SyntheticSlide) -> int:
    """Write the true nuclei as a GeoJSON FeatureCollection; returns how many."""
    count = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for count, feature in enumerate(truth_features(slide), start=1):
            file.write((",\n" if count > 1 else "\n") + json.dumps(feature, separators=(",", ":")))
        file.write("\n]}\n")
    return count
