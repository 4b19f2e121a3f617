"""The outline of tissue in level-0 pixels, fit for QuPath: simplified ring by ring, some areas at a time.

An area may have 300,000 holes. As a polygon of shapely that is checked as a whole, it would take hundreds of megabytes;
as rings, of which each is compared with those that come near, it takes some tens.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.mask_rings import MaskRings
from wsi_parse.contours.rings import Rings
from wsi_parse.contours.tracing import rings_of_labels
from wsi_parse.geometry import Frame
from wsi_parse.objects.simplify import MIN_POINTS, fitted_to_area, rings_fitted_to_area
from wsi_parse.qupath.by_rings import snapped_by_rings
from wsi_parse.qupath.geometry import LARGE_CORNERS, fit_for_qupath
from wsi_parse.tissue.mask import TissueMask

# In pixels of the mask, whose edges are rough.
_TOLERANCE_PX = 0.5
_AREAS_AT_ONCE, _RINGS_AT_ONCE = 5_000, 1 << 14
_RING = int(shapely.GeometryType.LINEARRING)

#: Polygons and MultiPolygons (N,), or a single polygon of many rings: the outer one, then the holes.
Areas = NDArray[np.object_] | Rings


def tissue_outline(tissue: TissueMask) -> Iterator[Areas]:
    """Yield the tissue area, in the region of interest, in level-0 pixels, valid for QuPath."""
    for areas in areas_to_level0(tissue.rings, tissue.frame, _TOLERANCE_PX):
        if tissue.region is None:
            yield areas
        else:
            shapes = np.array([areas.polygon()], object) if isinstance(areas, Rings) else areas
            cut = fit_for_qupath(shapely.intersection(shapes, tissue.region))
            yield cut[~shapely.is_missing(cut)]


def areas_to_level0(rings: MaskRings, frame: Frame, tolerance_px: float) -> Iterator[Areas]:
    """Simplify the areas of a mask with one tolerance and convert them to level-0 pixels, fit for QuPath.

    Holes that are smaller than the tolerance are filled; an area that small, or of which a triangle would be left, is
    kept as it is.

    Parameters
    ----------
    rings : MaskRings
    frame : Frame
        The lattice of the mask.
    tolerance_px : float
        In lattice pixels, more than 0.

    Yields
    ------
    object array (N,) or Rings
        In level-0 pixels; what has no area on QuPath's grid is left out.
    """
    numbers, ends, _ = rings_of_labels(rings, keep_holes=True)
    count = len(ends) - 1
    corners = np.concatenate([[0], np.cumsum(rings.sizes[numbers] + 1)])[ends]
    large = np.flatnonzero(np.diff(corners) > LARGE_CORNERS)
    stops = np.unique(np.concatenate([[0, count], np.arange(0, count, _AREAS_AT_ONCE), large, large + 1]))
    for first, last in pairwise(stops.tolist()):
        chosen = numbers[ends[first] : ends[last]]
        polygon = _large(rings, chosen, frame, tolerance_px) if first in large else None
        if polygon is not None:
            yield polygon
            continue
        owner = np.repeat(np.arange(last - first), np.diff(ends[first : last + 1]))
        # Between pixels, an outline and the corners that tracing cut enclose the pixels inside.
        target = np.bincount(owner, rings.pixels[chosen], last - first).astype(np.float64)
        shapes, _ = fitted_to_area(_simplified_areas(rings, chosen, owner, tolerance_px), target, frame)
        yield shapes[~shapely.is_missing(shapes)]


def _large(rings: MaskRings, numbers: NDArray[np.int64], frame: Frame, tolerance_px: float) -> Areas | None:
    """Do this for one area with many corners; None if few of them are left."""
    simplified = _simplified_rings(rings, numbers, tolerance_px)
    sizes = simplified.sizes
    if not sizes[0] or sizes.sum() <= LARGE_CORNERS:
        return None
    kept = Rings.of_sizes(simplified.points, sizes[sizes > 0])
    del simplified
    fitted = rings_fitted_to_area(kept, float(rings.pixels[numbers].sum()), frame)
    del kept
    snapped = snapped_by_rings(fitted)
    if snapped is None:
        shapes = fit_for_qupath(np.array([fitted.polygon()], object))
        return shapes[~shapely.is_missing(shapes)]
    # Rounding leaves a sign on some zeros.
    np.add(snapped.points, 0.0, out=snapped.points)
    return snapped


def _simplified_areas(
    rings: MaskRings, numbers: NDArray[np.int64], owner: NDArray[np.int64], tolerance_px: float
) -> NDArray[np.object_]:
    """Build a polygon for each owner of rings, of which the first is the outer one."""
    simplified = _simplified_rings(rings, numbers, tolerance_px)
    sizes = simplified.sizes
    outer = np.flatnonzero(np.diff(owner, prepend=-1))
    small = (sizes[outer] == 0) | (np.bincount(owner, sizes, len(outer)) < MIN_POINTS)
    areas = np.empty(len(outer), object)
    left = np.flatnonzero(~small[owner] & (sizes > 0))
    areas[~small] = _polygons(simplified.take(left), owner[left])
    areas[small] = _polygons(rings.points(numbers[small[owner]]), owner[small[owner]])
    return areas


def _polygons(rings: Rings, owner: NDArray[np.int64]) -> NDArray[np.object_]:
    """Build a polygon of the rings of each owner that has some."""
    ends = np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner))
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, rings.points, (rings.offsets, ends))
    return np.asarray(made, object)


def _simplified_rings(rings: MaskRings, numbers: NDArray[np.int64], tolerance_px: float) -> Rings:
    """Return rings, simplified; those that are smaller than the tolerance have no points."""
    parts = []
    for first in range(0, len(numbers), _RINGS_AT_ONCE):
        traced = rings.points(numbers[first : first + _RINGS_AT_ONCE])
        loops = shapely.linearrings(traced.points, indices=np.repeat(np.arange(len(traced)), traced.sizes))
        simplified = shapely.simplify(loops, tolerance_px, preserve_topology=False)
        # What collapses becomes a line.
        whole = shapely.get_type_id(simplified) == _RING
        sizes = np.where(whole, shapely.get_num_coordinates(simplified), 0)
        parts.append(Rings.of_sizes(shapely.get_coordinates(simplified[whole]), sizes))
    return Rings.joined(parts)
