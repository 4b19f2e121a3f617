"""TissueMask: where a slide has tissue, and what counts as lying on it."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame
from wsi_parse.tissue.pen_ink import dilated


@dataclass(frozen=True)
class TissueMask:
    """What is worth reading.

    Parameters
    ----------
    mask : bool array (frame.height, frame.width)
    frame : Frame
        Lattice of the mask, a few microns per pixel.
    region : shapely geometry or None
        Level-0 pixels; where only a part of the slide is looked at.
    """

    mask: NDArray[np.bool_]
    frame: Frame
    region: Any = None

    @cached_property
    def area_mm2(self) -> float:
        """Area of the tissue (in the region) in square millimetres."""
        return self._pixels_looked_at() * self.frame.pixel_area_um2 / 1e6

    def _pixels_looked_at(self) -> float:
        if self.region is None:
            return float(self.mask.sum())
        corner = np.argwhere(self.mask)[:, ::-1]
        (left, top), (right, bottom) = (self.frame.to_level0(corner + step).T for step in (0, 1))
        pixels = shapely.box(left, top, right, bottom)
        shapely.prepare(self.region)
        inside = shapely.contains_properly(self.region, pixels)
        cut = pixels[~inside & shapely.intersects(self.region, pixels)]
        whole = self.frame.scale_x * self.frame.scale_y
        return float(inside.sum()) + float(shapely.area(shapely.intersection(cut, self.region)).sum()) / whole

    def touches(self, box_frame: Box, frame: Frame) -> bool:
        """Return whether any tissue lies in a box of `frame` (of the same slide)."""
        box = frame.box_in(box_frame, self.frame).intersection(self.frame.box)
        return bool(self.mask[box.slices].any())

    def contains(self, points_level0: NDArray[np.float64], margin_um: float = 0.0) -> NDArray[np.bool_]:
        """Return for each point (N, 2) as (x, y) in level-0 pixels whether it lies on tissue, or so near to it."""
        cells = np.floor(self.frame.from_level0(points_level0)).astype(np.int64)
        inside = (cells >= 0).all(axis=1) & (cells[:, 0] < self.frame.width) & (cells[:, 1] < self.frame.height)
        found = np.zeros(len(cells), bool)
        if not inside.any():
            return found
        # Only the part around the points is grown: they come from one chunk.
        reach = margin_um / self.frame.mpp_x
        (left, top), (right, bottom) = cells[inside].min(axis=0).tolist(), (cells[inside].max(axis=0) + 1).tolist()
        box = Box.from_corners(left, top, right, bottom).expanded(math.ceil(reach)).intersection(self.frame.box)
        near = dilated(self.mask[box.slices], reach) if reach else self.mask[box.slices]
        found[inside] = near[cells[inside, 1] - box.y, cells[inside, 0] - box.x]
        return found
