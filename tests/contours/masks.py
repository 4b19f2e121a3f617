"""Outlines of masks that are traced as a whole, as the tests know them."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.contours.tracing import Lines, polygons_of, trace
from wsi_parse.geometry import Box


def lines_of_mask(mask: NDArray[np.bool_]) -> Lines:
    """Trace the 4-connected parts of a mask (rows, columns), in pixels of the mask; all lines are rings."""
    labels, _ = ndimage.label(np.pad(mask, 1))
    core = Box(0, 0, mask.shape[1], mask.shape[0])
    return trace(labels, core.expanded(1), core)


def polygons_of_mask(mask: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return a polygon, with holes, for each 4-connected part of a mask (rows, columns), in pixels of the mask."""
    return polygons_of(lines_of_mask(mask), keep_holes=True)[0]
