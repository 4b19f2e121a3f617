"""A polygon with many holes is snapped ring by ring: GEOS takes a time that grows faster than the number of holes."""

import numpy as np
import shapely

from wsi_parse.contours.rings import Rings
from wsi_parse.qupath.clearance import near_rings
from wsi_parse.qupath.ring_validity import is_valid_polygon
from wsi_parse.qupath.snapping import GRID_PX, made_valid_and_snapped

_RINGS_AT_ONCE = 1 << 14
_POLYGON = int(shapely.GeometryType.POLYGON)


def snapped_by_rings(rings: Rings) -> Rings | None:
    """Snap only the rings of a polygon that others come near to; the result is the one of snapping all at once.

    Parameters
    ----------
    rings : Rings
        The outer ring, then the holes, in level-0 pixels.

    Returns
    -------
    Rings or None
        In the same order, as far as they are the same rings; None if the polygon has to be repaired or snapped as a
        whole.
    """
    if not all(_lie_on_grid(part) for part in rings.parts(_RINGS_AT_ONCE)) or not is_valid_polygon(rings):
        return None
    near = near_rings(rings, GRID_PX)
    as_snapped = _as_snapped(rings)
    if not near.any():
        return as_snapped
    # Each of the other holes has its place in the outer ring, whatever becomes of the holes beside it.
    near[0] = True
    snapped = made_valid_and_snapped(rings.take(np.flatnonzero(near)).polygon())
    if shapely.get_type_id(snapped) != _POLYGON or shapely.is_empty(snapped):
        return None
    changed = Rings.of_shapes(np.array([snapped], object))
    both = Rings.joined([changed, as_snapped])
    number = np.arange(len(rings)) + len(changed)
    if len(changed) == near.sum():
        number[near] = np.arange(len(changed))
    else:
        number = np.concatenate([[0], number[~near], np.arange(1, len(changed))])
    result = both.take(number)
    return result if is_valid_polygon(result) else None


def _as_snapped(rings: Rings) -> Rings:
    """Return the rings of a polygon as GEOS writes those that snapping leaves as they are.

    The outer one is clockwise (y up), holes are not, and each begins with the corner after its first one.
    """
    points, outer = np.empty_like(rings.points), True
    for first, part in zip(rings.offsets[::_RINGS_AT_ONCE].tolist(), rings.parts(_RINGS_AT_ONCE), strict=False):
        turned = ~part.counterclockwise()
        turned[0] ^= outer
        outer = False
        sizes, start = part.sizes, part.offsets[:-1]
        corners, place = np.repeat(sizes - 1, sizes), np.arange(len(part.points)) - np.repeat(start, sizes)
        # From the second point on, without the last one, which repeats the first one, and closed again.
        place = (place + 1) % corners
        place = np.where(np.repeat(turned, sizes), (corners - place) % corners, place)
        points[first : first + len(place)] = part.points[place + np.repeat(start, sizes)]
    return Rings(points, rings.offsets)


def _lie_on_grid(rings: Rings) -> bool:
    steps = rings.points / GRID_PX
    return bool((steps == np.rint(steps)).all())
