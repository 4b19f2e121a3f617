"""read_roi: a region of interest (ROI) from the polygons of a GeoJSON file, in the frame that the file states."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsi_parse.annotations import DAMAGED, read_annotations
from wsi_parse.annotations.frame import SlideStated, slide_stated, stated_offset
from wsi_parse.errors import UsageError

#: What to do if a file has no region of interest.
DRAW_AND_EXPORT = "Draw an area in QuPath and export it (File > Export objects as GeoJSON)."


@dataclass(frozen=True)
class RegionOfInterest:
    """A region of interest.

    Parameters
    ----------
    area : shapely geometry
        In level-0 pixels.
    slide : SlideStated or None
        The slide that the file says it was made from; None if it does not say so.
    """

    area: Any
    slide: SlideStated | None = None


def read_roi(path: Path, bounds_origin_level0: tuple[int, int]) -> RegionOfInterest:
    """Read the union of all polygons of a GeoJSON file.

    Parameters
    ----------
    path : Path
        Any file that :func:`read_annotations` reads.
    bounds_origin_level0 : (int, int)
        (x, y) of the origin of the slide's bounds, at which coordinates of QuPath start; (0, 0) if the slide has none.
        It is added to every point, unless the file states the offset that was subtracted, as our own files do.

    Returns
    -------
    RegionOfInterest

    Raises
    ------
    UsageError
        The file cannot be read, has damaged coordinates or contains no polygon.
    """
    found = read_annotations(path)
    if DAMAGED in found.skipped:
        raise UsageError(
            f"The region file {path.name} has {DAMAGED}.", f"Run `wsi-parse check {path.name}` to find them."
        )
    area = shapely.union_all(shapely.make_valid(found.geometry))
    if area.is_empty or area.area == 0:
        raise UsageError(f"The region file {path.name} contains no polygon.", DRAW_AND_EXPORT)
    stated = stated_offset(found.provenance)
    offset = np.array(bounds_origin_level0, float) if stated is None else stated
    return RegionOfInterest(shapely.transform(area, lambda points: points + offset), slide_stated(found.provenance))
