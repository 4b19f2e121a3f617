"""What the size of nuclei says of a run: medians of their areas, and whether the pixel size fits what is seen."""

import math
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from wsi_parse.cautions import Caution, mostly_unsure, nuclear_size, pixel_size_against_nuclei
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.run.manifest_facts import PixelSizeFacts
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.dense_fields import dense_fields
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.pixel_size_estimate import PixelSizeEstimate, estimate_pixel_size

# Medians of human tissue: small lymphocytes have about 20 µm², the nuclei of anaplastic tumours seldom 150 µm².
NUCLEAR_AREA_UM2 = (10.0, 200.0)
# One field is too little: nuclei of one place may all be of an unusual kind.
_MIN_FIELDS = 2
# Of fewer objects neither a median nor a share means much.
MIN_OBJECTS = 50
MOSTLY = 0.5

# The histogram of areas is fixed, so that a median does not depend on the order of the objects: bins of 0.5 %.
_LOWEST_UM2, _BINS_PER_E, _BINS = 0.1, 200, 3000
_AREAS = ("nucleus_area_um2", "area_um2")


class NuclearAreas:
    """Medians of the nuclear areas of each prompt, in memory that does not grow with the number of objects.

    Parameters
    ----------
    classes : ClassTable
        Only prompts of cells are looked at.
    """

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        self._counts = np.zeros((len(classes.prompts), _BINS), np.int64)

    def write(self, batch: ObjectBatch) -> None:
        """Add a batch of objects; of cells with a nucleus, the nucleus counts."""
        name = next((name for name in _AREAS if name in batch.measurements), None)
        if name is None or not len(batch):
            return
        areas = batch.measurements[name].astype(np.float64)
        wanted = self._classes.is_cell[batch.class_index] & np.isfinite(areas) & (areas > 0)
        number = self._classes.prompt_number[batch.class_index][wanted]
        bins = np.floor(np.log(areas[wanted] / _LOWEST_UM2) * _BINS_PER_E).astype(int).clip(0, _BINS - 1)
        np.add.at(self._counts, (number, bins), 1)

    def medians(self) -> dict[str, float]:
        """Return the median area of each prompt of cells that has objects, in µm²."""
        names = [prompt.name for prompt in self._classes.prompts]
        return {name: _median(counts) for name, counts in zip(names, self._counts, strict=True) if counts.any()}

    def cautions(self) -> tuple[Caution, ...]:
        """Caution if the median of all nuclei is out of the range of human tissue."""
        together = self._counts.sum(axis=0)
        if together.sum() < MIN_OBJECTS:
            return ()
        median = _median(together)
        low, high = NUCLEAR_AREA_UM2
        return () if low <= median <= high else (nuclear_size(median, low, high),)


def _median(counts: NDArray[np.int64]) -> float:
    """Return the middle of the bin in which the median lies."""
    index = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return round(_LOWEST_UM2 * math.exp((index + 0.5) / _BINS_PER_E), 2)


def unsure_cautions(
    counts: Mapping[str, int], unsure: Mapping[str, int], never_sure: Collection[str] = ()
) -> tuple[Caution, ...]:
    """Caution for each prompt of which the class of most objects is unsure, and may be sure."""
    counted = {name: count for name, count in counts.items() if count >= MIN_OBJECTS and name not in never_sure}
    shares = {name: unsure.get(name, 0) / count for name, count in counted.items()}
    return tuple(mostly_unsure(name, share) for name, share in shares.items() if share > MOSTLY)


def pixel_size_facts(slide: Slide, tissue: TissueMask) -> PixelSizeFacts | None:
    """Estimate the pixel size from the nuclei in some fields of the tissue; None if it cannot be told."""
    estimate = estimate_pixel_size(dense_fields(slide, tissue))
    if estimate is None:
        return None
    return {
        "mpp_um": round(estimate.mpp, 4),
        "low_um": round(estimate.low, 4),
        "high_um": round(estimate.high, 4),
        "fields": estimate.fields,
    }


def pixel_size_cautions(slide: Slide, facts: PixelSizeFacts | None) -> tuple[Caution, ...]:
    """Caution if the pixel size of a slide does not fit its nuclei."""
    if facts is None or facts["fields"] < _MIN_FIELDS:
        return ()
    mpp = math.sqrt(slide.pixel_size.x_um * slide.pixel_size.y_um)
    estimate = PixelSizeEstimate(facts["mpp_um"], facts["low_um"], facts["high_um"], facts["fields"])
    if estimate.agrees_with(mpp):
        return ()
    return (pixel_size_against_nuclei(mpp, estimate.mpp, estimate.low, estimate.high),)
