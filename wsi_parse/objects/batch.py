"""ObjectBatch: many finished objects as arrays, in the order of all outputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.prompts import Prompt


@dataclass(frozen=True)
class ObjectBatch:
    """Finished objects, in their final order.

    Parameters
    ----------
    geometry : object array (N,)
        shapely Polygons or MultiPolygons in level-0 pixels, fit for QuPath: made valid, then snapped to 0.25 px, and
        not rounded afterwards.
    prompt : int array (N,)
        Index into :attr:`ExportContext.prompts`.
    ids : object array (N,)
        UUID strings, computed from the content of the object.
    measurements : dict of str to float array (N,)
        Column name (with unit) -> values; NaN where an object has no such value.
    unsure : bool array (N,), optional
        True for objects whose class the model is not sure of; without it, the model is sure of all.
    nuclei : object array (N,), optional
        The nuclei, if the objects are whole cells; fit for QuPath too.
    """

    geometry: NDArray[Any]
    prompt: NDArray[np.int16]
    ids: NDArray[Any]
    measurements: dict[str, NDArray[np.float64]]
    unsure: NDArray[np.bool_] | None = None
    nuclei: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.geometry)

    def part(self, start: int, stop: int) -> "ObjectBatch":
        """Return the objects from `start` to before `stop`, as views."""
        return ObjectBatch(
            self.geometry[start:stop],
            self.prompt[start:stop],
            self.ids[start:stop],
            {name: values[start:stop] for name, values in self.measurements.items()},
            None if self.unsure is None else self.unsure[start:stop],
            None if self.nuclei is None else self.nuclei[start:stop],
        )

    def parts(self, size: int) -> Iterator["ObjectBatch"]:
        """Cut into batches of at most `size` objects."""
        for start in range(0, len(self), size):
            yield self.part(start, start + size)

    @property
    def variant(self) -> NDArray[np.int16]:
        """Index of each object's variant in :func:`variants`: twice the prompt's index, plus one where unsure."""
        index = self.prompt * np.int16(2)
        return index if self.unsure is None else index + self.unsure


def variants(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return for each prompt the variant of its sure objects, followed by that of its unsure ones."""
    return [variant for prompt in prompts for variant in (prompt, prompt.unsure)]


def concatenate_columns(
    parts: Sequence[tuple[int, Mapping[str, NDArray[np.float64]]]],
) -> dict[str, NDArray[np.float64]]:
    """Concatenate the columns of several (number of objects, columns); a column that one part lacks is NaN there."""
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    return {
        name: np.concatenate([columns.get(name, np.full(count, np.nan)) for count, columns in parts]) for name in names
    }
