"""Which part of a slide is tissue: TissueMask, and detect_tissue."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.morphology import remove_small_holes, remove_small_objects

from wsi_parse.geometry import Box, Frame
from wsi_parse.settings import TissueSettings
from wsi_parse.slides.slide import Slide


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


def detect_tissue(slide: Slide, settings: TissueSettings) -> TissueMask:
    """Find the tissue of a slide.

    Parameters
    ----------
    slide : Slide
    settings : TissueSettings
        With ``detect`` false, everything that was scanned is looked at.

    Returns
    -------
    TissueMask
        All False where there is none: a blank slide is a result.
    """
    size = slide.pixel_size
    frame = slide.frame(max(settings.mpp, size.x_um, size.y_um))
    scanned = _scanned(slide, frame)
    mask = np.zeros(frame.box.shape, np.bool_)
    if settings.detect:
        mask[scanned.slices] = tissue_in_image(slide.read(scanned, frame), frame.mpp_x, settings)
    else:
        mask[scanned.slices] = True
    return TissueMask(mask, frame)


def tissue_in_image(rgb: NDArray[np.uint8], mpp: float, settings: TissueSettings) -> NDArray[np.bool_]:
    """Find the tissue of a picture."""
    density = -np.log10((rgb.astype(np.float32) + 1) / 256)
    chroma = gaussian_filter(density.max(axis=2) - density.min(axis=2), 12 / mpp)
    mask = chroma > 0.04
    smallest, hole = settings.smallest_um2 / mpp**2, settings.largest_hole_um2 / mpp**2
    mask = remove_small_objects(mask, max_size=int(smallest))
    return remove_small_holes(mask, max_size=int(hole))


def _scanned(slide: Slide, frame: Frame) -> Box:
    bounds = slide.info.bounds_level0
    if bounds is None:
        return frame.box
    (left, top), (right, bottom) = frame.from_level0([[bounds.x, bounds.y], [bounds.right, bounds.bottom]])
    box = Box.from_corners(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    return box.intersection(frame.box)
