"""Geometry that every QuPath takes: valid, on a quarter-pixel grid, polygons only."""

import numpy as np
import shapely
from numpy.typing import NDArray

GRID_PX = 0.25


def fit_for_qupath(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Make valid, then snap to the grid, as the last step."""
    fitted = shapely.set_precision(shapely.make_valid(geometry), GRID_PX)
    kind = shapely.get_type_id(fitted)
    odd = np.flatnonzero(kind != 3)
    for index in odd:
        parts = shapely.get_parts(fitted[index])
        parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)]
        fitted[index] = None if not len(parts) else parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    fitted[(kind == 3) & (shapely.area(fitted) <= 0)] = None
    return fitted
