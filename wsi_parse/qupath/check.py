"""check_file: a GeoJSON file is streamed and checked by QuPath's rules; breaches are counted by rule."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import areas_of, build
from wsi_parse.annotations.read import class_of, id_of, reading, type_of
from wsi_parse.annotations.stream import Features
from wsi_parse.qupath.breaches import feature_breaches, not_finite, rounding_breaches, shape_breaches
from wsi_parse.qupath.classes import ClassOrder
from wsi_parse.qupath.ids import final_id
from wsi_parse.qupath.items import Item, batches
from wsi_parse.qupath.property_breaches import Breach
from wsi_parse.qupath.rules import (
    AREAS,
    BASE_CLASS,
    COORDINATES,
    DUPLICATE,
    FILE_ENDINGS,
    FILE_NAME,
    MANY_ANNOTATIONS,
    MAX_ANNOTATIONS,
    MAX_MB,
    NO_AREA,
    NO_COLLECTION,
    ONE_VALUE,
    OPEN_RING,
    SEVERAL_LISTS,
    TOO_LARGE,
    QuPathRule,
)

_MALFORMED = (COORDINATES, OPEN_RING, NO_AREA)


@dataclass(frozen=True)
class Finding:
    """A feature that breaks a rule.

    Parameters
    ----------
    number : int
        Number of the top-level feature in the file, from 1.
    below : int
        Number of the child feature within that one, from 1; 0 is the top-level feature itself.
    id : str or None
    detail : str
        The key, the value or the name of a measurement; may be empty.
    """

    number: int
    below: int
    id: str | None
    detail: str


@dataclass
class Report:
    """The result of checking a file.

    Parameters
    ----------
    path : Path
    features, annotations : int
        Number of features, and number of those that are annotations.
    bytes_read : int
        Size of the unpacked text in bytes.
    members : mapping
        The members of a collection other than its features.
    counts : dict of QuPathRule to int
        How many features break each rule.
    examples : dict of QuPathRule to list of Finding
        The first features that break each rule.
    duplicates : set of int
        Keys (see :func:`key_of`) of ids that occur more than once.
    bases : set of str
        Classes of which an object comes only after one of a class that is derived from it.
    """

    path: Path
    features: int = 0
    annotations: int = 0
    bytes_read: int = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    counts: Counter[QuPathRule] = field(default_factory=Counter)
    examples: dict[QuPathRule, list[Finding]] = field(default_factory=dict)
    duplicates: set[int] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)

    @property
    def accepted(self) -> bool:
        """Whether every version of QuPath (v0.4 to v0.7) imports the file; warnings do not count."""
        return not any(rule.refused for rule in self.counts)

    def note(self, most: int, rule: QuPathRule, item: Item, detail: str = "") -> None:
        """Count a feature that breaks a rule, and keep it as an example unless there are `most` already."""
        self.counts[rule] += 1
        found = self.examples.setdefault(rule, [])
        if len(found) < most:
            found.append(Finding(item.number, item.below, id_of(item.feature), detail))


def check_file(path: Path, most: int = 3) -> Report:
    """Check a GeoJSON file by QuPath's rules, in memory that grows by 8 bytes per feature.

    Parameters
    ----------
    path : Path
        Any file that :func:`wsi_parse.annotations.read_annotations` reads.
    most : int
        Number of examples to keep of each rule.

    Returns
    -------
    Report

    Raises
    ------
    UsageError
        The file cannot be read, is empty, ends in the middle, or is not valid GeoJSON.
    """
    report, ids, classes = Report(path), array("q"), ClassOrder()
    with reading(path):
        source = Features(path)
        for batch in batches(source):
            for item, found in zip(batch, all_breaches(batch), strict=True):
                for rule, detail in dict(reversed(found)).items():
                    report.note(most, rule, item, detail)
                ids.append(key_of(final_id(item.feature)) if item.is_feature else -len(ids) - 1)
                if item.is_feature:
                    report.features += 1
                    report.annotations += type_of(item.feature) == "annotation"
                    for name in classes.missing_before(class_of(item.feature)):
                        report.note(most, BASE_CLASS, item, name)
    report.bases = classes.found_later
    report.bytes_read, report.members = source.bytes_read, source.members
    for rule, number, detail in _file_breaches(report, source):
        report.note(most, rule, Item(number, 0, {}), detail)
    repeats = _repeats(np.frombuffer(ids, np.int64))
    report.duplicates = {ids[index] for index in repeats.tolist()}
    report.counts.update({DUPLICATE: len(repeats)} if len(repeats) else {})
    with reading(path):
        for item in _read_again(path, repeats[:most].tolist()):
            report.counts[DUPLICATE] -= 1
            report.note(most, DUPLICATE, item)
    return report


def key_of(name: str) -> int:
    """Return a number that represents an id; upper and lower case make no difference, as in a UUID."""
    return hash(name.lower())


def _file_breaches(report: Report, source: Features) -> Iterator[tuple[QuPathRule, int, str]]:
    """Yield the rules that the file as a whole breaks, the number of the feature that shows it, and a detail."""
    if not report.path.name.lower().endswith(FILE_ENDINGS):
        yield FILE_NAME, 1, report.path.suffix
    if source.roots > 1:
        yield ONE_VALUE, 2, f"{source.roots:,} values"
    if source.untyped:
        yield NO_COLLECTION, 1, ""
    if source.bytes_read > MAX_MB * 1e6:
        yield TOO_LARGE, report.features, f"{source.bytes_read / 1e6:,.0f} MB"
    if source.several_lists:
        yield SEVERAL_LISTS, 1, ""
    if report.annotations > MAX_ANNOTATIONS:
        yield MANY_ANNOTATIONS, report.features, f"{report.annotations:,}"


def _read_again(path: Path, indices: list[int]) -> Iterator[Item]:
    """Read some features again, because they were not kept; indices (ascending, from 0) count child features too."""
    first = 0
    for batch in batches(Features(path)) if indices else ():
        yield from (batch[index - first] for index in indices if first <= index < first + len(batch))
        first += len(batch)
        if indices[-1] < first:
            return


def all_breaches(items: Sequence[Item]) -> list[list[Breach]]:
    """Return for each item the rules that it breaks, by its place, its form and its shape."""
    breaches = [
        [*item.faults, *(feature_breaches(item.feature, in_collection=item.in_collection) if item.is_feature else ())]
        for item in items
    ]
    for key, detail in (("geometry", ""), ("nucleusGeometry", "nucleus")):
        # Other geometries are refused by their form already.
        owner = [
            index
            for index, item in enumerate(items)
            if isinstance(found := item.feature.get(key), dict)
            and found.get("type") in AREAS
            and found.get("coordinates")
        ]
        shapes = build([areas_of(items[index].feature[key]) for index in owner])
        for index in np.flatnonzero(shapes == None).tolist():  # noqa: E711 - of each item
            if not any(rule in _MALFORMED for rule, _ in breaches[owner[index]]):
                number = not_finite(items[owner[index]].feature[key].get("coordinates"))
                breaches[owner[index]].append((COORDINATES, f"{detail} {number}".strip()))
        built = np.flatnonzero(shapes != None)  # noqa: E711
        for rule, bad in (*_shape_rules(shapes[built]),):
            for index in built[bad].tolist():
                breaches[owner[index]].append((rule, detail))
    return breaches


def _shape_rules(shapes: NDArray[np.object_]) -> Iterator[tuple[QuPathRule, NDArray[np.bool_]]]:
    yield from shape_breaches(shapes)
    yield from rounding_breaches(shapes)


def _repeats(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of all numbers that occurred before."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    return np.sort(order[1:][same])
