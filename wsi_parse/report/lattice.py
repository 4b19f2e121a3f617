"""FieldLattice: what lies where on a slide, counted on a lattice of 32 µm, from which fields are chosen."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.pictures.windows import window_sums
from wsi_parse.report.raster import WHOLE, Coverage
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

FIELD_UM = 128.0
_STEP_UM = 32.0
# Of a longer slide, the steps are longer.
_MAX_STEPS = 1024
_ROWS_AT_ONCE = 256
#: Probabilities are added up as whole numbers of such steps, so that the sums do not depend on the order.
PROBABILITY_STEPS = 10_000


@dataclass(frozen=True)
class Certainty:
    """How many objects have a probability, and the sum of these in steps: int arrays (rows, columns)."""

    count: NDArray[np.int32]
    total: NDArray[np.int64]


class FieldLattice:
    """Counts over squares of the scanned area; their number is bounded, whatever the slide and its objects are.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    classes : ClassTable

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    step_um : float
        Side of a square.
    field_steps : int
        Side of a field in steps.
    """

    def __init__(self, slide: Slide, tissue: TissueMask, classes: ClassTable) -> None:
        size, info = slide.pixel_size, slide.info
        part = info.bounds_level0 or Box(0, 0, info.width, info.height)
        longest_um = max(part.width * size.x_um, part.height * size.y_um)
        self.step_um = _STEP_UM * 2 ** max(0, math.ceil(math.log2(longest_um / _STEP_UM / _MAX_STEPS)))
        self.field_steps = max(1, round(FIELD_UM / self.step_um))
        self._corner_level0 = np.array([part.x, part.y], float)
        self._scale = np.array([self.step_um / size.x_um, self.step_um / size.y_um])
        columns, rows = np.ceil(np.array([part.width, part.height]) / self._scale).astype(int).tolist()
        self.shape = (rows, columns)
        self._classes = classes
        self.counts = np.zeros((len(classes.prompts), rows, columns), np.int32)
        self._covers = {
            number: Coverage((rows * _SUB, columns))
            for number, prompt in enumerate(classes.prompts)
            if prompt.kind == "region"
        }
        self._certainty = {
            name: Certainty(np.zeros(self.shape, np.int32), np.zeros(self.shape, np.int64))
            for name in ("class_probability", "probability_mean")
        }
        self.tissue_um2 = self._tissue(tissue)

    def add(self, batch: ObjectBatch, middle_level0: NDArray[np.float64]) -> None:
        """Count a batch of objects, whose middles (N, 2) are given."""
        index = self._index(middle_level0)
        prompt_number = self._classes.prompt_number[batch.class_index]
        for number in np.unique(prompt_number).tolist():
            mine = prompt_number == number
            np.add.at(self.counts[number].ravel(), index[mine], 1)
            if number in self._covers:
                shapes = shapely.orient_polygons(batch.geometry[mine])
                points = self.steps(shapely.get_coordinates(shapes)) * (1, _SUB)
                self._covers[number].add_polygons(shapes, points)
        for name, certainty in self._certainty.items():
            values = batch.measurements.get(name)
            if values is not None:
                known = np.isfinite(values)
                whole = np.rint(values[known].astype(np.float64) * PROBABILITY_STEPS).astype(np.int64)
                np.add.at(certainty.count.ravel(), index[known], 1)
                np.add.at(certainty.total.ravel(), index[known], whole)

    @property
    def box_level0(self) -> NDArray[np.float64]:
        """The corners of the lattice, (2, 2), in level-0 pixels."""
        return self.level0(np.array([(0, 0), self.shape[::-1]], float))

    @property
    def certainty(self) -> tuple[str, Certainty]:
        """Which column tells how sure the model is, and its sums: the class's probability, if there are classes."""
        of_class = self._certainty["class_probability"]
        name = "class_probability" if of_class.count.any() else "probability_mean"
        return name, self._certainty[name]

    def covered(self, number: int) -> NDArray[np.float64]:
        """Return which part of each step the regions of a prompt cover, float array (rows, columns)."""
        values = self._covers[number].values().reshape(self.shape[0], _SUB, self.shape[1])
        return values.sum(axis=1) / (WHOLE * _SUB)

    def steps(self, points_level0: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (N, 2) from level-0 pixels to steps."""
        return (points_level0 - self._corner_level0) / self._scale

    def level0(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (N, 2) from steps to level-0 pixels."""
        return steps * self._scale + self._corner_level0

    def sums(self, values: NDArray[np.integer]) -> NDArray[np.int64]:
        """Add up an array (rows, columns) over each field that lies in the lattice; (rows - n + 1, columns - n + 1)."""
        rows, columns = (min(self.field_steps, length) for length in self.shape)
        return window_sums(values, rows, columns)

    def _index(self, points_level0: NDArray[np.float64]) -> NDArray[np.int64]:
        column, row = np.floor(self.steps(points_level0)).astype(np.int64).T
        rows, columns = self.shape
        return np.asarray(np.clip(row, 0, rows - 1) * columns + np.clip(column, 0, columns - 1), np.int64)

    def _tissue(self, tissue: TissueMask) -> NDArray[np.int64]:
        """Return the area of tissue in each step, in whole µm²."""
        found = np.zeros(self.shape[0] * self.shape[1], np.int64)
        for pixels in _pixels(tissue):
            np.add.at(found, self._index(tissue.frame.to_level0(pixels)), 1)
        return np.rint(found.reshape(self.shape) * tissue.frame.pixel_area_um2).astype(np.int64)


def _pixels(tissue: TissueMask) -> Iterator[NDArray[np.float64]]:
    """Yield the middles of the pixels of the tissue, in the region of interest, in strips of the mask."""
    frame: Frame = tissue.frame
    box = frame.box
    if tissue.region is not None:
        shapely.prepare(tissue.region)
        left, top, right, bottom = shapely.bounds(tissue.region)
        (left, top), (right, bottom) = frame.from_level0([(left, top), (right, bottom)])
        box = Box.from_corners(*(math.floor(side) for side in (left, top, right + 1, bottom + 1))).intersection(box)
    for strip in box.strips(_ROWS_AT_ONCE):
        pixels = np.argwhere(tissue.tissue[strip.slices])[:, ::-1] + (strip.x + 0.5, strip.y + 0.5)
        if tissue.region is not None:
            pixels = pixels[shapely.contains_xy(tissue.region, frame.to_level0(pixels))]
        yield np.asarray(pixels, np.float64)


# Rows of samples in a step, where the area of regions is measured.
_SUB = 4
