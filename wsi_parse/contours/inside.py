"""Where rings lie in a region: an area of many holes is cut without handing all of them to GEOS as one polygon."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.contours.rings import Rings


class Place(IntEnum):
    """Where what a ring encloses lies: inside a region without touching its border, outside of it, or on its border."""

    OUTSIDE, INSIDE, BORDER = range(3)


def places_in(parts: Iterable[Rings], region: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - a shapely geometry
    """Return the :class:`Place` of each ring, which are given some at a time, in the frame of the region."""
    return np.concatenate([np.empty(0, np.uint8), *(places_of(part.shapes(), region) for part in parts)])


def places_of(shapes: NDArray[np.object_], region: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - a shapely geometry
    """Return the :class:`Place` of each shape."""
    shapely.prepare(region)
    places = np.full(len(shapes), Place.BORDER, np.uint8)
    places[shapely.contains_properly(region, shapes)] = Place.INSIDE
    places[~shapely.intersects(region, shapes)] = Place.OUTSIDE
    return places
