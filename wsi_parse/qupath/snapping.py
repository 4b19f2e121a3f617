"""Snapping to the grid on which every version of QuPath takes a polygon."""

from typing import Any

import shapely

#: Step of the grid, in level-0 pixels.
GRID_PX = 0.25


def made_valid_and_snapped(shape: Any) -> Any:  # noqa: ANN401 - a shapely geometry
    """Repair a shape if it is not valid, and move it to the grid; the result is valid."""
    try:
        return shapely.set_precision(shapely.make_valid(shape), GRID_PX)
    except shapely.GEOSException:
        areas = shapely.make_valid(shape, method="structure", keep_collapsed=False)
        return shapely.set_precision(areas, GRID_PX)
