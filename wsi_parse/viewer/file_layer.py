"""The layer of a GeoJSON file: its objects as they are, or coloured by how they agree with the run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.files import file_sha256
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Rgb
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.build import StoreBuilder
from wsi_parse.viewer.compared import LEFT_OUT, ONLY_IN_RESULT, STATES, Agreement, agreement
from wsi_parse.viewer.details import JoinedDetails, RowDetails
from wsi_parse.viewer.foreign import Survey
from wsi_parse.viewer.layers import PROBABILITY, Layer, centroids_of, digest_of
from wsi_parse.viewer.layout import MAX_CLASSES, LayerClass
from wsi_parse.viewer.shelf import Shelf

ROWS_NAME, ONLY_NAME = "objects.parquet", "only_in_result.npy"
# Blue, purple, orange and green: told apart by the colour-blind, and seen on pink tissue.
_COLOURS: tuple[Rgb, ...] = ((0, 114, 178), (170, 60, 150), (230, 159, 0), (0, 130, 90))
# Objects of the file and of the run together, of which all are in memory while they are matched.
_MOST_COMPARED = 1_000_000


@dataclass(frozen=True)
class Result:
    """The objects of the run that a file is compared with.

    Parameters
    ----------
    path : Path
        objects.parquet.
    table : ClassTable
    layer : Layer
    """

    path: Path
    table: ClassTable
    layer: Layer


def layer_of_file(path: Path, slide: Slide, result: Result | None, shelf: Shelf, say: Callable[[str], None]) -> Layer:
    """Open the layer of a GeoJSON file; its buffers are built if they are not there.

    Parameters
    ----------
    path : Path
    slide : Slide
        In whose frame of QuPath the file is, unless it states another one.
    result : Result or None
        What it is compared with.
    shelf : Shelf
    say : callable
        Is told what is left out, and what does not fit.

    Raises
    ------
    UsageError
        The file cannot be read or is not valid GeoJSON.
    """
    survey, bounds = Survey.of(path), slide.info.bounds_level0
    _say_doubts(survey, slide, say)
    if result is not None and survey.objects + len(result.layer.details) > _MOST_COMPARED:
        say(
            f"{path.name} is shown as it is, and not compared with the run: together they have more than "
            f"{_MOST_COMPARED:,} objects."
        )
        result = None
    offset = survey.offset((bounds.x, bounds.y) if bounds is not None else (0, 0))
    digest = digest_of(file_sha256(path), offset, None if result is None else result.layer.digest)

    def write(place: Path) -> None:
        survey.write(place / ROWS_NAME, offset)
        _Builder(place, survey.table, result).build(digest)

    store = shelf.store(f"with-{digest_of(path.name)[:12]}", digest, write)
    classes = tuple(LayerClass.from_dict(one) for one in store.facts["classes"])
    details: RowDetails | JoinedDetails = RowDetails(store.folder / ROWS_NAME, foreign=True)
    if result is not None:
        details = JoinedDetails(details, result.layer.details, np.load(store.folder / ONLY_NAME))
    return Layer(path.name, classes, store, details, digest)


def _say_doubts(survey: Survey, slide: Slide, say: Callable[[str], None]) -> None:
    name, info = survey.path.name, slide.info
    stated = survey.slide
    if stated is not None and stated.is_other({slide.name}, info.fingerprint, (info.width, info.height)):
        say(f"{name} states that it was made from another slide, {stated.name}.")
    if survey.skipped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(survey.skipped.items()))
        say(f"{name}: what has no area is not shown ({kinds}).")


class _Builder:
    """Builds the buffers of a file, with the classes that it gives its objects, or with how they agree with a run."""

    def __init__(self, place: Path, table: ClassTable, result: Result | None) -> None:
        self._place, self._table, self._result = place, table, result
        self._agreement: Agreement | None = None
        if result is not None:
            self._agreement = agreement((place / ROWS_NAME, table), (result.path, result.table))
        self._classes: dict[LayerClass, int] = {}

    def build(self, digest: str) -> None:
        """Write the buffers; an object that only the run has comes after those of the file."""
        path = self._place / ROWS_NAME
        source = ParquetSource(path, self._table)
        names = source.measurements
        # The classes come first: the builder must know how many there are.
        parts = list(self._class_numbers())
        builder = StoreBuilder(self._place, len(self._classes), names, PROBABILITY if PROBABILITY in names else None)
        sources = [(source, centroids_of(path), parts[0], np.ones(len(parts[0]), bool))]
        if self._result is not None and self._agreement is not None:
            only = self._agreement.only_in_result
            np.save(self._place / ONLY_NAME, np.flatnonzero(only))
            theirs = ParquetSource(self._result.path, self._result.table)
            sources.append((theirs, centroids_of(self._result.path), parts[1], only))
        for each, centroid, numbers, chosen in sources:
            row = 0
            for batch in each.batches():
                rows = slice(row, row + len(batch))
                row = rows.stop
                kept = chosen[rows]
                some = batch.take(kept)
                builder.add(some.geometry, numbers[rows][kept], some.measurements, centroid[rows][kept])
        builder.finish({"digest": digest, "classes": [one.facts() for one in self._classes]})

    def _class_numbers(self) -> Iterator[NDArray[np.int64]]:
        """Yield the number of the class of each object of the file, then of each of the run."""
        index = _class_index(self._place / ROWS_NAME, self._table)
        if self._result is None or self._agreement is None:
            yield self._numbers(index, np.full(len(index), LEFT_OUT, np.int8), self._table)
            return
        yield self._numbers(index, self._agreement.of_file, self._table)
        theirs = _class_index(self._result.path, self._result.table)
        state = np.where(self._agreement.only_in_result, ONLY_IN_RESULT, LEFT_OUT).astype(np.int8)
        numbers = np.zeros(len(theirs), np.int64)
        only = self._agreement.only_in_result
        numbers[only] = self._numbers(theirs[only], state[only], self._result.table)
        yield numbers

    def _numbers(self, index: NDArray[np.int16], state: NDArray[np.int8], table: ClassTable) -> NDArray[np.int64]:
        """Number the classes, each with a state, in the order of the table and of the states."""
        numbers = np.zeros(len(index), np.int64)
        for number, row in enumerate(table.rows):
            for one in (*range(len(STATES)), LEFT_OUT):
                here = (index == number) & (state == one)
                if not here.any():
                    continue
                is_state = one != LEFT_OUT
                named = LayerClass(
                    STATES[one] if is_state else row.name,
                    row.prompt.class_name if is_state else "",
                    row.unsure and not is_state,
                    _COLOURS[one] if is_state else row.colour,
                    row.kind,
                )
                # More than can be numbered: the state counts, and the class is not told apart.
                if named not in self._classes and len(self._classes) >= MAX_CLASSES - len(STATES):
                    named = LayerClass(named.name, "", False, named.colour, named.kind)
                numbers[here] = self._classes.setdefault(named, len(self._classes))
        return numbers


def _class_index(path: Path, table: ClassTable) -> NDArray[np.int16]:
    parts: list[NDArray[Any]] = [batch.class_index for batch in ParquetSource(path, table).batches()]
    return np.concatenate([np.zeros(0, np.int16), *parts])
