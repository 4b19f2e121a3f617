"""Which part of a slide is tissue: TissueMask, and detect_tissue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame


@dataclass(frozen=True)
class TissueMask:
    """What is worth reading.

    Parameters
    ----------
    mask : bool array (frame.height, frame.width)
    frame : Frame
        Lattice of the mask, a few microns per pixel.
    """

    mask: NDArray[np.bool_]
    frame: Frame

    @property
    def area_mm2(self) -> float:
        """Tissue area in square millimetres."""
        return float(self.mask.sum()) * self.frame.pixel_area_um2 / 1e6

    def touches(self, box_frame: Box, frame: Frame) -> bool:
        """Return whether any tissue lies in a box of `frame` (of the same slide)."""
        box = frame.box_in(box_frame, self.frame).intersection(self.frame.box)
        return bool(self.mask[box.slices].any())

    def contains(self, points_level0: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each point (N, 2) as (x, y) in level-0 pixels whether it lies on tissue."""
        cells = np.floor(self.frame.from_level0(points_level0)).astype(np.int64)
        inside = (cells >= 0).all(axis=1) & (cells[:, 0] < self.frame.width) & (cells[:, 1] < self.frame.height)
        found = np.zeros(len(cells), bool)
        found[inside] = self.mask[cells[inside, 1], cells[inside, 0]]
        return found
