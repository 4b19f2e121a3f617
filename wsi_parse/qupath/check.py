"""A file held against the rules: features are streamed, and what is found is counted by rule."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsi_parse.annotations.polygons import areas_of, build
from wsi_parse.annotations.read import children_of, feature_of, flat_features, id_of, no_cycles, type_of
from wsi_parse.annotations.stream import Features
from wsi_parse.qupath.breaches import Breach, of_feature, of_rounding, of_shapes
from wsi_parse.qupath.ids import final_id
from wsi_parse.qupath.rules import (
    AREAS,
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
    TOO_LARGE,
    QuPathRule,
)

Feature = dict[str, Any]
_AT_ONCE = 1_000
_UNBUILT = (COORDINATES, OPEN_RING, NO_AREA)


@dataclass(frozen=True)
class Finding:
    """What one feature breaks.

    Parameters
    ----------
    number : int
        Place of the feature in the file, from 1.
    below : int
        Which of those within that one, from 1; 0 is that one itself.
    id : str or None
    detail : str
        The key, the value, the name of a measurement; may be empty.
    """

    number: int
    below: int
    id: str | None
    detail: str


class Item(NamedTuple):
    """A feature, and where it stands: see :class:`Finding`."""

    number: int
    below: int
    feature: Feature


@dataclass
class Report:
    """What was found in a file.

    Parameters
    ----------
    path : Path
    features, annotations : int
        How many, and how many of those are of type annotation.
    bytes_read : int
        Of the text, unpacked.
    members : mapping
        What a collection says beside its features.
    counts : dict of QuPathRule to int
    examples : dict of QuPathRule to list of Finding
        The first of each rule.
    duplicates : set of int
        Hashes of ids (of small letters) that come more than once.
    """

    path: Path
    features: int = 0
    annotations: int = 0
    bytes_read: int = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    counts: Counter[QuPathRule] = field(default_factory=Counter)
    examples: dict[QuPathRule, list[Finding]] = field(default_factory=dict)
    duplicates: set[int] = field(default_factory=set)

    @property
    def accepted(self) -> bool:
        """Whether every version of QuPath imports the file; warnings do not count."""
        return not any(rule.refused for rule in self.counts)

    def note(self, most: int, rule: QuPathRule, item: Item, detail: str = "") -> None:
        """Count a finding, and keep it while there are no more than `most` of its rule."""
        self.counts[rule] += 1
        found = self.examples.setdefault(rule, [])
        if len(found) < most:
            found.append(Finding(item.number, item.below, id_of(item.feature), detail))


def check_file(path: Path, most: int = 3) -> Report:
    """Hold a GeoJSON file against the rules, in memory that grows by 8 bytes a feature.

    Parameters
    ----------
    path : Path
        Any that :func:`wsi_parse.annotations.read_annotations` reads.
    most : int
        Examples to keep of each rule.

    Raises
    ------
    UsageError
        Where the file cannot be read, is empty, ends in the middle, or is no GeoJSON.
    """
    report, ids = Report(path), array("q")
    with no_cycles():
        source = Features(path)
        for batch in batches(source):
            breaches = examined([item.feature for item in batch])
            for item, found in zip(batch, breaches, strict=True):
                for rule, detail in dict(reversed(found)).items():
                    report.note(most, rule, item, detail)
                report.annotations += type_of(item.feature) == "annotation"
                ids.append(key_of(final_id(item.feature)))
            report.features += len(batch)
    report.bytes_read, report.members = source.bytes_read, source.members
    for rule, number, detail in _of_file(report, source):
        report.note(most, rule, Item(number, 0, {}), detail)
    again = _again(np.frombuffer(ids, np.int64))
    report.duplicates = {ids[index] for index in again.tolist()}
    report.counts.update({DUPLICATE: len(again)} if len(again) else {})
    with no_cycles():
        for item in _at(path, again[:most].tolist()):
            report.counts[DUPLICATE] -= 1
            report.note(most, DUPLICATE, item)
    return report


def key_of(name: str) -> int:
    """Return what stands for an id: a UUID is the same in large letters and in small."""
    return hash(name.lower())


def _of_file(report: Report, source: Features) -> Iterator[tuple[QuPathRule, int, str]]:
    """Give what a file as a whole breaks, and at which feature."""
    if not report.path.name.lower().endswith(FILE_ENDINGS):
        yield FILE_NAME, 1, report.path.suffix
    if source.roots > 1:
        yield ONE_VALUE, 2, f"{source.roots:,} values"
    if source.untyped:
        yield NO_COLLECTION, 1, ""
    if source.bytes_read > MAX_MB * 1e6:
        yield TOO_LARGE, report.features, f"{source.bytes_read / 1e6:,.0f} MB"
    if report.annotations > MAX_ANNOTATIONS:
        yield MANY_ANNOTATIONS, report.features, f"{report.annotations:,}"


def _at(path: Path, places: list[int]) -> Iterator[Item]:
    """Read the features at some places, counted from 0 with those within others, once more: they were not kept."""
    first = 0
    for batch in batches(Features(path)) if places else ():
        yield from (batch[place - first] for place in places if first <= place < first + len(batch))
        first += len(batch)
        if places[-1] < first:
            return


def batches(source: Features) -> Iterator[list[Item]]:
    """Give features some hundred at a time, each with its place; those within another follow it."""
    batch: list[Item] = []
    for number, text in enumerate(source, 1):
        item = feature_of(text, number, source.path)
        is_collection = item.get("type") == "FeatureCollection"
        if source.bare or is_collection or children_of(item):
            # A bare geometry is taken where it is all there is.
            found = enumerate(flat_features(item), int(is_collection))
            batch.extend(Item(number, below, _alone(feature)) for below, feature in found)
        else:
            batch.append(Item(number, 0, item))
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _alone(feature: Feature) -> Feature:
    """Return a feature without those below it."""
    if not children_of(feature):
        return feature
    properties = {key: value for key, value in feature["properties"].items() if key not in ("childObjects", "children")}
    return {**feature, "properties": properties}


def examined(features: Sequence[Feature]) -> list[list[Breach]]:
    """Return what each of some features breaks, by its form and by its shape."""
    breaches = [list(of_feature(feature)) for feature in features]
    for key, word in (("geometry", ""), ("nucleusGeometry", "nucleus")):
        # What is malformed need not be built to be refused.
        owner = [
            index
            for index, feature in enumerate(features)
            if isinstance(found := feature.get(key), dict) and found.get("type") in AREAS and found.get("coordinates")
        ]
        shapes = build([areas_of(features[index][key]) for index in owner])
        for index in np.flatnonzero(shapes == None).tolist():  # noqa: E711 - of each item
            if not any(rule in _UNBUILT for rule, _ in breaches[owner[index]]):
                breaches[owner[index]].append((COORDINATES, word))
        built = np.flatnonzero(shapes != None)  # noqa: E711
        for rule, bad in (*_shape_rules(shapes[built]),):
            for index in built[bad].tolist():
                breaches[owner[index]].append((rule, word))
    return breaches


def _shape_rules(shapes: NDArray[np.object_]) -> Iterator[tuple[QuPathRule, NDArray[np.bool_]]]:
    yield from of_shapes(shapes)
    yield from of_rounding(shapes)


def _again(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places where a number stands that stood before."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order][1:] == hashes[order][:-1]
    return np.sort(order[1:][same])
