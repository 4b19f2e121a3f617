"""Areas of a slide that a run wrote: the tissue, as flat rings for the browser."""

from itertools import pairwise
from pathlib import Path

from wsi_parse.annotations import read_annotations
from wsi_parse.annotations.frame import stated_offset
from wsi_parse.errors import UsageError
from wsi_parse.viewer.rings import Rings, starts_of


def tissue_rings(path: Path) -> list[list[float]]:
    """Return the rings of tissue.geojson as flat lists x, y, x, y, … in level-0 pixels; empty if it is not there."""
    try:
        found = read_annotations(path)
    except UsageError:
        return []
    rings = Rings.of(found.geometry)
    offset = stated_offset(found.provenance)
    points = rings.points if offset is None else rings.points + offset
    start = starts_of(rings.of_ring).tolist()
    return [points[begin:end].ravel().tolist() for begin, end in pairwise(start)]
