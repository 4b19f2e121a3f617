"""Whether a polygon of many holes is valid, a few of its rings at a time.

GEOS checks a polygon as a whole, and holds some hundred bytes for each corner of it.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings, bands

_HOLES_AT_ONCE = 1 << 14


def is_valid_polygon(rings: Rings) -> bool:
    """Return whether a polygon is valid, as GEOS understands it.

    Parameters
    ----------
    rings : Rings
        The outer ring, then the holes.

    Notes
    -----
    A hole that lies inside the outer ring without touching it, and meets no other hole, does not matter to the others:
    GEOS is asked only for the polygon of those of which this does not hold.
    """
    outer = rings.part(0, 1).shapes()[0]
    if not shapely.is_valid(outer):
        return False
    shapely.prepare(outer)
    matters = [np.ones(1, bool)]
    for some in rings.part(1, len(rings)).parts(_HOLES_AT_ONCE):
        holes = some.shapes()
        if not shapely.is_valid(holes).all():
            return False
        matters.append(~shapely.contains_properly(outer, holes))
    chosen = np.concatenate(matters)
    chosen[1:] |= _meeting(rings.part(1, len(rings)))
    return not chosen[1:].any() or bool(shapely.is_valid(rings.take(np.flatnonzero(chosen)).polygon()))


def _meeting(rings: Rings) -> NDArray[np.bool_]:
    """Return which of some rings touch, cross or surround another one."""
    found = np.zeros(len(rings), bool)
    for band, _, _ in bands(rings, _HOLES_AT_ONCE):
        shapes = rings.take(band).shapes()
        one, other = shapely.STRtree(shapes).query(shapes)
        one, other = one[one < other], other[one < other]
        meet = ~shapely.disjoint(shapes[one], shapes[other])
        found[band[one[meet]]] = found[band[other[meet]]] = True
    return found
