"""Dense fields: small squares of a slide's level 0 with many dark spots, where nuclei can be seen and measured.

Dark is what absorbs red: haematoxylin does, eosin hardly does. Of the three colours, red alone keeps its detail where a
slide was compressed.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides.optical_density import optical_density
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.spot_sizes import halved

_FIELD_PX = 512
_CANDIDATES, _FIELDS = 24, 8
# Optical density of green: tissue is denser.
_GLASS_DENSITY = 0.06
_MIN_TISSUE, _MAX_GLASS = 0.25, 0.7
_DARKEST_WHITE = 128.0
_HIGH_PERCENTILE = 98
# The noise of tissue without nuclei has a smaller range of density.
_LEAST_RANGE = 0.25
_SPOT_PX, _CLUSTER_PX = (1.0, 2.0), 8.0


@dataclass(frozen=True)
class DenseField:
    """A square of level 0.

    Parameters
    ----------
    box_level0 : Box
    density : float32 array (h, w)
        Optical density of red.
    low, high : float
        Median of the density of the tissue in the field, and a density that only few pixels exceed.
    """

    box_level0: Box
    density: NDArray[np.float32]
    low: float
    high: float

    @cached_property
    def spots(self) -> NDArray[np.float32]:
        """How much each pixel of the half field is the middle of a dark spot; 0 on edges and lines."""
        # Folds and dirt are much darker than nuclei: the wider the range of a field, the less a step of it counts.
        density = np.clip(halved(self.density), self.low, self.high) / max(self.high - self.low, _LEAST_RANGE)
        found = np.zeros_like(density)
        for sigma in _SPOT_PX:
            along_y, along_x, mixed = (
                ndimage.gaussian_filter(density, sigma, order) for order in ((2, 0), (0, 2), (1, 1))
            )
            # An edge or a line is curved on one axis only.
            curved = np.maximum(along_y * along_x - mixed**2, 0) * (along_y < 0)
            found += sigma**2 * np.sqrt(curved)
        return found

    def densest_point(self) -> tuple[int, int]:
        """Return (x, y) in level-0 pixels, around which most spots are; it lies in the middle part of the field."""
        smooth = ndimage.gaussian_filter(self.spots, _CLUSTER_PX)
        rows, columns = (length // 4 for length in smooth.shape)
        middle = smooth[rows : smooth.shape[0] - rows, columns : smooth.shape[1] - columns]
        row, column = np.unravel_index(int(np.argmax(middle)), middle.shape)
        return self.box_level0.x + 2 * (columns + int(column)), self.box_level0.y + 2 * (rows + int(row))


def dense_fields(slide: Slide, tissue: TissueMask) -> list[DenseField]:
    """Read the fields with the most spots among candidates that are spread over the tissue.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
        Only the places of tissue are used: a region of interest and the pixel size do not matter.

    Returns
    -------
    list of DenseField
        At most 6, the densest first; they do not overlap. Fewer on a small slide, none without tissue. What cannot be
        read is left out.
    """
    images = []
    for box in _candidates(slide, tissue):
        with suppress(SlideReadError):
            images.append((box, slide.read(box)))
    if not images:
        return []
    white = _white(np.concatenate([image[::4, ::4].reshape(-1, 3) for _, image in images]))
    fields = [field for box, image in images if (field := _field(box, image, white)) is not None]
    return sorted(fields, key=lambda field: (-float(field.spots.mean()), field.box_level0))[:_FIELDS]


def measured_field(rgb: NDArray[np.uint8]) -> DenseField | None:
    """Measure a picture (h, w, 3) as one field; None if most of it is glass."""
    return _field(Box(0, 0, rgb.shape[1], rgb.shape[0]), rgb, _white(rgb[::4, ::4].reshape(-1, 3)))


def _white(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the colour of the brightest of pixels (N, 3), but at least mid-grey."""
    return np.maximum(np.percentile(pixels, 99, axis=0), _DARKEST_WHITE)


def _field(box_level0: Box, rgb: NDArray[np.uint8], white: NDArray[np.float64]) -> DenseField | None:
    """Measure a field; None if most of it is glass."""
    levels = np.arange(256, dtype=np.float32)
    red, green = (np.maximum(optical_density(levels, white[channel]), 0).astype(np.float32) for channel in (0, 1))
    density, is_tissue = red[rgb[..., 0]], green[rgb[..., 1]] > _GLASS_DENSITY
    if is_tissue.mean() < 1 - _MAX_GLASS:
        return None
    low, high = np.percentile(density[is_tissue], (50, _HIGH_PERCENTILE)).tolist()
    return DenseField(box_level0, density, low, high)


def _candidates(slide: Slide, tissue: TissueMask) -> list[Box]:
    """Divide level 0 into fields, and choose some on tissue, evenly in row-major order."""
    if not tissue.mask.any():
        return []
    width, height = slide.dimensions
    across, down = (max(1, round(length / _FIELD_PX)) for length in (width, height))
    # The field of each row and of each column of the mask, by their centres.
    rows, columns = tissue.mask.shape
    middles = np.arange(max(rows, columns))[:, None] + (0.5, 0.5)
    fields = (tissue.frame.to_level0(middles) * (across / width, down / height)).astype(int)
    field_x, field_y = np.minimum(fields, (across - 1, down - 1)).T
    in_columns = (tissue.mask[field_y[:rows] == row].sum(axis=0) for row in range(down))
    pixels = np.concatenate([np.bincount(field_x[:columns], found, across) for found in in_columns])
    # Fields at the edge of tissue have few nuclei.
    full = np.flatnonzero(pixels > _MIN_TISSUE * tissue.frame.box.area / (across * down))
    if len(full) > _CANDIDATES:
        full = full[np.unique(np.linspace(0, len(full) - 1, _CANDIDATES).round().astype(int))]
    side_x, side_y = width // across, height // down
    return [
        Box(int(cell % across) * width // across, int(cell // across) * height // down, side_x, side_y) for cell in full
    ]
