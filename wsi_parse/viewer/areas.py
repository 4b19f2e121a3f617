"""Areas of a slide that a run wrote: the tissue, and the region of interest."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.annotations import read_annotations
from wsi_parse.annotations.frame import stated_offset
from wsi_parse.viewer.rings import Rings, starts_of


def read_areas(path: Path) -> NDArray[np.object_]:
    """Return the polygons of tissue.geojson or region.geojson in level-0 pixels."""
    found = read_annotations(path)
    offset = stated_offset(found.provenance)
    if offset is None:
        return found.geometry
    moved: Any = shapely.transform(found.geometry, lambda points: points + offset)
    return np.atleast_1d(moved)


def flat_rings(shapes: NDArray[np.object_]) -> list[list[float]]:
    """Return the rings of polygons as flat lists x, y, x, y, … for the browser."""
    rings = Rings.of(shapes)
    start = starts_of(rings.of_ring).tolist()
    return [rings.points[begin:end].ravel().tolist() for begin, end in pairwise(start)]
