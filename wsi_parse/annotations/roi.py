"""read_roi: a region of interest (ROI) from the polygons of a GeoJSON file, in the frame that the file states."""

import re
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
#: No region that is smaller on a side holds a nucleus, whatever the scanner.
MIN_SIDE_PX = 4
# Systems of longitude and latitude: CRS84 and its like, and EPSG 4000 to 4999.
_GEOGRAPHIC = re.compile(r"\bCRS:?(84|83|27)h?\b|\bEPSG\b.*\b4\d{3}\b|^WGS ?84$", re.IGNORECASE)
_MAX_DEGREES = (360.0, 90.0)


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
        The file cannot be read, has damaged coordinates, contains no polygon, or one that is not in pixels.
    """
    found = read_annotations(path)
    if DAMAGED in found.skipped:
        raise UsageError(
            f"The region file {path.name} has {DAMAGED}.", f"Run `wsi-parse check {path.name}` to find them."
        )
    area = shapely.union_all(shapely.make_valid(found.geometry))
    if area.is_empty or area.area == 0:
        raise UsageError(f"The region file {path.name} contains no polygon.", DRAW_AND_EXPORT)
    check_in_pixels(path.name, area, found.crs)
    stated = stated_offset(found.provenance)
    offset = np.array(bounds_origin_level0, float) if stated is None else stated
    return RegionOfInterest(shapely.transform(area, lambda points: points + offset), slide_stated(found.provenance))


def check_in_pixels(name: str, area: Any, crs: str) -> None:  # noqa: ANN401 - a shapely geometry
    """Refuse a region that cannot be meant in pixels of the slide.

    Parameters
    ----------
    name : str
        Of the file.
    area : shapely geometry
        In the frame of the file.
    crs : str
        The coordinate reference system that the file names; may be empty.

    Raises
    ------
    UsageError
        It is in degrees, or so small that it holds nothing.
    """
    left, top, right, bottom = shapely.bounds(area).tolist()
    if _GEOGRAPHIC.search(crs) and (np.abs(shapely.get_coordinates(area)) <= _MAX_DEGREES).all():
        raise UsageError(
            f"The region file {name} is in degrees of longitude and latitude: it names the coordinate system "
            f"{crs[:80]}.",
            "Give coordinates in pixels of the slide at full resolution (level 0). If they are, remove crs from the "
            "file.",
        )
    if min(right - left, bottom - top) < MIN_SIDE_PX or area.area < MIN_SIDE_PX**2:
        raise UsageError(
            f"The region in {name} is {right - left:.3g} px wide and {bottom - top:.3g} px high (x {left:.6g} to "
            f"{right:.6g}, y {top:.6g} to {bottom:.6g}), with an area of {area.area:.3g} px²; no nucleus lies in it.",
            "Coordinates are pixels of the slide at full resolution (level 0), not µm, degrees or parts of a whole. "
            "Draw the area in QuPath and export it.",
        )
