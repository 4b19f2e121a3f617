"""Density of objects at the scale of a picture: counts, and a soft tint for objects too small to be outlined."""

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures.view import View
from wsi_parse.pictures.windows import window_sums

# Outlines of smaller objects merge. All cells are judged by a typical one, so that they all look alike.
_MIN_OUTLINED_PX = 6.0
TYPICAL_CELL_UM = 8.0
_MAX_LATTICE_SIDE = 2048
_BLUR_PX = 1.6
_MAX_OPACITY = 0.85
_STRIP_ROWS = 128
_COARSENING = 4


class Density:
    """Sums over objects on a lattice over the view; its size is bounded, whatever the number of objects.

    Parameters
    ----------
    view : View
    classes : ClassTable
        Sure and unsure objects of a prompt count together; unsure ones have the paler colour of their class.
    """

    def __init__(self, view: View, classes: ClassTable) -> None:
        self._view = view
        self._classes = classes
        self._colours = [row.colour for row in classes.rows]
        self.step_px = max(1, math.ceil(max(view.box.width, view.box.height) / _MAX_LATTICE_SIDE))
        self._shape = (-(-view.box.height // self.step_px), -(-view.box.width // self.step_px))
        self.count = np.zeros((len(classes.prompts), *self._shape), np.int32)
        self._cover: dict[int, NDArray[np.float32]] = {}

    def add(self, batch: ObjectBatch) -> NDArray[np.bool_]:
        """Add a batch; return which of its objects are large enough to be outlined."""
        middle = self._view.pixels(shapely.get_coordinates(shapely.centroid(batch.geometry)))
        column, row = np.floor(middle / self.step_px).astype(int).T
        index = np.clip(row, 0, self._shape[0] - 1) * self._shape[1] + np.clip(column, 0, self._shape[1] - 1)
        frame = self._view.frame
        area_px = shapely.area(batch.geometry) / (frame.scale_x * frame.scale_y)
        cells_large = TYPICAL_CELL_UM / frame.mpp_x >= _MIN_OUTLINED_PX
        is_cell, prompt_number = (of[batch.class_index] for of in (self._classes.is_cell, self._classes.prompt_number))
        large: NDArray[np.bool_] = np.where(is_cell, cells_large, area_px >= _MIN_OUTLINED_PX**2)
        np.add.at(self.count.reshape(len(self.count), -1), (prompt_number, index), 1)
        small = ~large
        for row_number in np.unique(batch.class_index[small]).tolist():
            mine = small & (batch.class_index == row_number)
            cover = self._cover.setdefault(row_number, np.zeros(self._shape, np.float32))
            np.add.at(cover.ravel(), index[mine], area_px[mine])
        return large

    def tint(self, picture: Image.Image) -> Image.Image:
        """Return the picture with the small objects as a soft colour, stronger where they are denser; call it once."""
        if not self._cover:
            return picture
        blur = _BLUR_PX / self.step_px
        covers = {number: self._blurred(number, blur) for number in sorted(self._cover)}
        total = sum(covers.values(), np.zeros(self._shape, np.float32))
        densest = np.percentile(total[total > total.max() / 1000], 95)
        layer = np.empty((*self._shape, 4), np.uint8)
        # In strips, because float colours of a whole picture would take more memory than the rest of a run.
        for rows in (slice(top, top + _STRIP_ROWS) for top in range(0, self._shape[0], _STRIP_ROWS)):
            weight = np.maximum(total[rows], 1e-9)
            for band in range(3):
                parts = (cover[rows] * np.float32(self._colours[index][band]) for index, cover in covers.items())
                layer[rows, :, band] = np.clip(sum(parts) / weight, 0, 255)
            layer[rows, :, 3] = _MAX_OPACITY * 255 * np.clip(total[rows] / densest, 0, 1) ** 0.6
        size = (self._shape[1] * self.step_px, self._shape[0] * self.step_px)
        tint = Image.fromarray(layer).resize(size, Image.Resampling.BILINEAR).crop((0, 0, *picture.size))
        return Image.alpha_composite(picture.convert("RGBA"), tint).convert("RGB")

    def _blurred(self, number: int, blur: float) -> NDArray[np.float32]:
        # In place, because there may be many classes and large pictures.
        cover = self._cover[number]
        ndimage.gaussian_filter(cover, blur, output=cover)
        return cover

    def busiest(self, width_px: float, height_px: float) -> NDArray[np.float64] | None:
        """Find the middle, in level-0 pixels, of the fullest field of a size; None if nothing was found.

        The square root favours a field with many classes over one that is full of a single class.
        """
        if not self.count.any():
            return None
        # On a coarser lattice: the position need not be exact, and sums over a picture take memory.
        counts = np.add.reduceat(self.count, range(0, self._shape[0], _COARSENING), axis=1)
        counts = np.add.reduceat(counts, range(0, self._shape[1], _COARSENING), axis=2)
        step_px = self.step_px * _COARSENING
        columns = max(1, min(counts.shape[2], round(width_px / step_px)))
        rows = max(1, min(counts.shape[1], round(height_px / step_px)))
        score = np.zeros((counts.shape[1] - rows + 1, counts.shape[2] - columns + 1))
        for count in counts:
            score += np.sqrt(window_sums(count, rows, columns))
        row, column = np.unravel_index(int(np.argmax(score)), score.shape)
        return self._view.level0(np.array([column + columns / 2, row + rows / 2]) * step_px)
