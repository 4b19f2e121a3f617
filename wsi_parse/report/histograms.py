"""Histograms: how the areas and probabilities of the objects are distributed, in fixed bins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable

_AREAS = ("nucleus_area_um2", "area_um2")
PROBABILITIES = ("class_probability", "probability_mean")
AREA_BIN_UM2, _AREA_BINS = 0.5, 1000
PROBABILITY_BINS = 50
_AREA_STEPS = 100


@dataclass(frozen=True)
class Distribution:
    """A histogram of the sure and one of the unsure objects of a prompt.

    Parameters
    ----------
    column : str
        The measurement.
    bin : float
        Width of a bin; the first begins at 0.
    counts : int array (2, bins)
        Sure, unsure. The last bin also holds what is larger.
    """

    column: str
    bin: float
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Number of objects."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the objects lies, to the bin."""
        sums = np.cumsum(self.counts.sum(axis=0))
        return float((np.searchsorted(sums, share * sums[-1]) + 0.5) * self.bin)


class Histograms:
    """Distributions of each prompt, in memory that does not grow with the number of objects."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        rows = len(classes.rows)
        self._areas = {name: np.zeros((rows, _AREA_BINS), np.int64) for name in _AREAS}
        self._probabilities = {name: np.zeros((rows, PROBABILITY_BINS), np.int64) for name in PROBABILITIES}
        self._covered = np.zeros(rows, np.int64)
        self.counts = np.zeros(rows, np.int64)

    def add(self, batch: ObjectBatch) -> None:
        """Add a batch of objects."""
        self.counts += np.bincount(batch.class_index, minlength=len(self.counts))
        for name, counts in self._areas.items():
            _count(counts, batch, name, AREA_BIN_UM2)
        for name, counts in self._probabilities.items():
            _count(counts, batch, name, 1 / PROBABILITY_BINS)
        areas = batch.measurements.get("area_um2")
        if areas is not None:
            known = np.isfinite(areas)
            whole = np.rint(areas[known].astype(np.float64) * _AREA_STEPS).astype(np.int64)
            np.add.at(self._covered, batch.class_index[known], whole)

    def area(self, number: int) -> Distribution | None:
        """Return the areas of a prompt (of the nuclei, if cells have them); None if it has no objects."""
        return self._first(self._areas, number, AREA_BIN_UM2)

    def probability(self, number: int) -> Distribution | None:
        """Return the probabilities of the class of a prompt, else those of its pixels; None if it has no objects."""
        return self._first(self._probabilities, number, 1 / PROBABILITY_BINS)

    def covered_mm2(self, number: int) -> float:
        """Return the sum of the areas of a prompt's objects."""
        return float(self._covered[2 * number : 2 * number + 2].sum()) / _AREA_STEPS / 1e6

    @staticmethod
    def _first(of_name: dict[str, NDArray[np.int64]], number: int, width: float) -> Distribution | None:
        rows = slice(2 * number, 2 * number + 2)
        found = next((name for name, counts in of_name.items() if counts[rows].any()), None)
        return None if found is None else Distribution(found, width, of_name[found][rows])


def _count(counts: NDArray[np.int64], batch: ObjectBatch, name: str, width: float) -> None:
    values = batch.measurements.get(name)
    if values is None:
        return
    known = np.isfinite(values)
    bins = np.clip(np.floor(values[known].astype(np.float64) / width), 0, counts.shape[1] - 1).astype(np.int64)
    np.add.at(counts.ravel(), batch.class_index[known].astype(np.int64) * counts.shape[1] + bins, 1)
