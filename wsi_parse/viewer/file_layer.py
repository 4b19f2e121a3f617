"""The layer of a GeoJSON file: its objects as they are, or coloured by how they agree with the run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.files import file_sha256
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Rgb
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.build import StoreBuilder
from wsi_parse.viewer.compared import LEFT_OUT, ONLY_IN_RESULT, STATES, agreement
from wsi_parse.viewer.details import Details, JoinedDetails, RowDetails
from wsi_parse.viewer.foreign import Survey
from wsi_parse.viewer.layers import PROBABILITY, Layer, digest_of
from wsi_parse.viewer.layout import MAX_CLASSES, LayerClass
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.shelf import FILE_PREFIX, Shelf

ROWS_NAME, ONLY_NAME = "objects.parquet", "only_in_result.npy"
# Blue, purple, orange and green: told apart by the colour-blind, and seen on pink tissue.
_COLOURS: tuple[Rgb, ...] = ((0, 114, 178), (170, 60, 150), (230, 159, 0), (0, 130, 90))
# The state of an object of the run that the file has, too.
NOT_SHOWN = -2
# Objects of the file and of the run together, of which all are in memory while they are matched.
_MOST_COMPARED = 1_000_000
# Where there are more classes than can be numbered, those that come last are counted together: by state and kind.
_OTHERS, _GREY = "other classes", (128, 128, 128)
_COLLECTIVE = 2 * (len(STATES) + 1)


@dataclass(frozen=True)
class Result:
    """The objects of the run that a file is compared with.

    Parameters
    ----------
    table : ObjectTable
    layer : Layer
    """

    table: ObjectTable
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
    survey = Survey.of(path)
    _say_doubts(survey, slide, say)
    if result is not None and survey.objects + len(result.layer.details) > _MOST_COMPARED:
        say(
            f"{path.name} is shown as it is, and not compared with the run: together they have more than "
            f"{_MOST_COMPARED:,} objects."
        )
        result = None
    offset = survey.offset(slide.info.offset_in_qupath)
    digest = digest_of(file_sha256(path), offset, None if result is None else result.layer.digest)

    def write(place: Path) -> None:
        survey.write(place / ROWS_NAME, offset)
        _Builder(place, ObjectTable(place / ROWS_NAME, survey.table), result).build(digest)

    store = shelf.store(f"{FILE_PREFIX}{digest_of(str(path.resolve()))[:12]}", digest, write)
    classes = tuple(LayerClass.from_dict(one) for one in store.facts["classes"])
    details: Details = RowDetails(ObjectTable(store.folder / ROWS_NAME, survey.table), foreign=True)
    if lost := survey.objects - len(details):
        say(f"{path.name}: {lost:,} of its objects have damaged coordinates or no area, and are not shown.")
    if result is not None:
        details = JoinedDetails(details, result.layer.details, np.load(store.folder / ONLY_NAME, allow_pickle=False))
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

    def __init__(self, place: Path, table: ObjectTable, result: Result | None) -> None:
        self._place, self._table, self._result = place, table, result
        self._agreement = None if result is None else agreement(table, result.table)
        self._classes: dict[LayerClass, int] = {}

    def build(self, digest: str) -> None:
        """Write the buffers; an object that only the run has comes after those of the file."""
        # The classes come first: the builder must know how many there are.
        parts = [(self._table, *self._of_file())]
        if self._result is not None and self._agreement is not None:
            only = self._agreement.only_in_result
            np.save(self._place / ONLY_NAME, np.flatnonzero(only))
            state = np.where(only, ONLY_IN_RESULT, NOT_SHOWN).astype(np.int8)
            theirs = self._result.table
            parts.append((theirs, self._numbers(theirs.class_index(), state, theirs.classes), only))
        names = self._table.measurements
        probability = PROBABILITY if PROBABILITY in names else None
        with StoreBuilder(self._place, len(self._classes), names, probability) as builder:
            for table, numbers, chosen in parts:
                for rows, batch, centroid in table.placed():
                    kept = chosen[rows]
                    some = batch.take(kept)
                    builder.add(some.geometry, numbers[rows][kept], some.measurements, centroid[kept])
            builder.finish({"digest": digest, "classes": [one.facts() for one in self._classes]})

    def _of_file(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the number of the class of each object of the file, and that all of them are shown."""
        index = self._table.class_index()
        state = np.full(len(index), LEFT_OUT, np.int8) if self._agreement is None else self._agreement.of_file
        return self._numbers(index, state, self._table.classes), np.ones(len(index), bool)

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
                if named not in self._classes and len(self._classes) >= MAX_CLASSES - _COLLECTIVE:
                    name, colour = (named.name, named.colour) if is_state else (_OTHERS, _GREY)
                    named = LayerClass(name, "", False, colour, named.kind)
                numbers[here] = self._classes.setdefault(named, len(self._classes))
        return numbers
