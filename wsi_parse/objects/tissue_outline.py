"""The outline of tissue in level-0 pixels, fit for QuPath: simplified ring by ring, some areas at a time.

An area may have 300,000 holes. As a polygon of shapely that is checked as a whole, it would take hundreds of megabytes;
as rings, of which each is compared with those that come near, it takes some tens.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.inside import Place, places_in
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
_RINGS_AT_ONCE = 1 << 14
_RING = int(shapely.GeometryType.LINEARRING)

#: Polygons and MultiPolygons (N,), or a single polygon of many rings: the outer one, then the holes.
Areas = NDArray[np.object_] | Rings


def tissue_outline(tissue: TissueMask) -> Iterator[Areas]:
    """Yield the tissue area, in the region of interest, in level-0 pixels, valid for QuPath.

    Of an area with many corners, each part that lies in the region is a polygon of its own, unless the area has
    to be repaired.
    """
    for areas in areas_to_level0(tissue.rings, tissue.frame, _TOLERANCE_PX):
        if tissue.region is None:
            yield areas
        elif isinstance(areas, Rings):
            yield from _cut(areas, tissue.region)
        else:
            yield _fit(shapely.intersection(areas, tissue.region))


def _cut(area: Rings, region: Any) -> Iterator[Areas]:  # noqa: ANN401 - a shapely geometry
    """Cut one area with many holes by a region: those that its border does not meet stay as they are."""
    places = places_in(area.parts(_RINGS_AT_ONCE), region)
    if places[0] == Place.OUTSIDE:
        return
    if places[0] == Place.INSIDE:
        yield area
        return
    holes = area.take(np.flatnonzero(places == Place.INSIDE))
    cut = _fit(shapely.intersection([area.take(np.flatnonzero(places == Place.BORDER)).polygon()], region))
    # Moved to the grid, the border may have come to holes beside it; on the grid again, to others.
    while len(cut) and (beside := places_in(holes.parts(_RINGS_AT_ONCE), cut[0]) != Place.INSIDE).any():
        left_out = shapely.union_all(holes.take(np.flatnonzero(beside)).shapes())
        cut, holes = _fit(shapely.difference(cut, left_out)), holes.take(np.flatnonzero(~beside))
    if not len(cut):
        return
    parts = shapely.get_parts(cut)
    points = [shapely.point_on_surface(some.shapes()) for some in holes.parts(_RINGS_AT_ONCE)]
    # Each hole lies in one part.
    owner = shapely.STRtree(parts).nearest(np.concatenate([np.empty(0, object), *points]))
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(len(parts) + 1))
    small = []
    for number, part in enumerate(parts):
        of_part = holes.take(order[ends[number] : ends[number + 1]])
        whole = Rings.joined([Rings.of_shapes(np.array([part], object)), of_part])
        if len(whole.points) > LARGE_CORNERS:
            yield _fitted(whole)
        else:
            small.append(whole.polygon())
    yield _fit(np.array(small, object))


def _fit(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make shapes fit for QuPath, and leave out what has no area."""
    fitted = fit_for_qupath(shapes)
    return fitted[~shapely.is_missing(fitted)]


def _fitted(rings: Rings) -> Areas:
    """Make one polygon of many rings fit for QuPath."""
    snapped = snapped_by_rings(rings)
    if snapped is None:
        return _fit(np.array([rings.polygon()], object))
    # Rounding leaves a sign on some zeros.
    np.add(snapped.points, 0.0, out=snapped.points)
    return snapped


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
    for first, last, is_large in rings.in_turn(numbers, ends, LARGE_CORNERS):
        chosen = numbers[ends[first] : ends[last]]
        polygon = _large(rings, chosen, frame, tolerance_px) if is_large else None
        if polygon is not None:
            yield polygon
            continue
        owner = np.repeat(np.arange(last - first), np.diff(ends[first : last + 1]))
        # Between pixels, an outline and the corners that tracing cut enclose the pixels inside.
        target = np.bincount(owner, rings.pixels[chosen], last - first).astype(np.float64)
        shapes, _ = fitted_to_area(_simplified_areas(rings, chosen, owner, tolerance_px), target, frame)
        yield shapes[~shapely.is_missing(shapes)]


def _large(rings: MaskRings, numbers: NDArray[np.int64], frame: Frame, tolerance_px: float) -> Areas | None:
    """Return one area with many corners, the outer ring first in `numbers`, in level-0 pixels; None if few are left."""
    simplified = _simplified_rings(rings, numbers, tolerance_px)
    sizes = simplified.sizes
    if not sizes[0] or sizes.sum() <= LARGE_CORNERS:
        return None
    kept = Rings.of_sizes(simplified.points, sizes[sizes > 0])
    del simplified
    fitted = rings_fitted_to_area(kept, float(rings.pixels[numbers].sum()), frame)
    del kept
    return _fitted(fitted)


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
    return rings.polygons(np.append(np.flatnonzero(np.diff(owner, prepend=-1)), len(owner)))


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
