"""ObjectBatch: many finished objects as arrays, in the order of all outputs; ObjectSource: where they come from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.objects.class_table import ClassTable

_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True)
class ObjectBatch:
    """Finished objects, in their final order.

    Parameters
    ----------
    geometry : object array (N,)
        shapely Polygons or MultiPolygons in level-0 pixels, fit for QuPath: made valid, then snapped to 0.25 px, and
        not rounded afterwards. They carry no precision grid of their own (`shapely.get_precision` is 0).
    class_index : int array (N,)
        Row of :class:`ClassTable`: prompt, sure or unsure, class and colour of each object.
    ids : object array (N,)
        UUID strings, computed from the content of the object.
    measurements : dict of str to float32 array (N,)
        Column name (with unit) -> values; NaN where an object has no such value. Single precision, so that every
        format holds the same numbers. The columns of all batches of a run come in one order: that in which they first
        appear; a batch may lack some.
    nuclei : object array (N,), optional
        The nuclei, if the objects are whole cells; fit for QuPath too.
    """

    geometry: NDArray[Any]
    class_index: NDArray[np.int16]
    ids: NDArray[Any]
    measurements: dict[str, NDArray[np.float32]]
    nuclei: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.geometry)

    def take(self, which: slice | NDArray[np.bool_]) -> "ObjectBatch":
        """Return some of the objects, in their order."""
        return ObjectBatch(
            self.geometry[which],
            self.class_index[which],
            self.ids[which],
            {name: values[which] for name, values in self.measurements.items()},
            None if self.nuclei is None else self.nuclei[which],
        )

    def part(self, start: int, stop: int) -> "ObjectBatch":
        """Return the objects from `start` to before `stop`, as views."""
        return self.take(slice(start, stop))

    def parts(self, size: int) -> Iterator["ObjectBatch"]:
        """Cut into batches of at most `size` objects."""
        for start in range(0, len(self), size):
            yield self.part(start, start + size)


class ObjectSource(Protocol):
    """All objects of a run: from its chunks, or from a file that was written of them."""

    @property
    def classes(self) -> ClassTable:
        """What the `class_index` of the batches means."""
        ...

    @property
    def steps(self) -> int:
        """About how many batches there are, for showing progress."""
        ...

    def batches(self) -> Iterator[ObjectBatch]:
        """Yield all objects in their order, in bounded memory."""
        ...

    def batches_in(self, box_level0: Box) -> Iterator[ObjectBatch]:
        """Yield all objects that have a point in a box, and perhaps some near it, whole and in their order.

        Only the part of the run around the box is read.
        """
        ...


def in_one_column_order(batches: Iterable[ObjectBatch]) -> Iterator[ObjectBatch]:
    """Yield batches with their columns in the order in which the columns first appear among all of them."""
    known: dict[str, None] = {}
    for batch in batches:
        known |= dict.fromkeys(batch.measurements)
        columns = {name: batch.measurements[name] for name in known if name in batch.measurements}
        yield replace(batch, measurements=columns)


def concatenate_columns(
    parts: Sequence[tuple[int, Mapping[str, NDArray[_Float]]]],
) -> dict[str, NDArray[_Float]]:
    """Concatenate the columns of several (number of objects, columns); a column that one part lacks is NaN there."""
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    kinds = {name: values.dtype for _, columns in parts for name, values in columns.items()}
    return {
        name: np.concatenate([columns.get(name, np.full(count, np.nan, kinds[name])) for count, columns in parts])
        for name in names
    }
