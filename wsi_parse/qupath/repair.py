"""repair: a GeoJSON file is written again with broken features repaired, or dropped and listed if that fails."""

import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from wsi_parse.annotations.read import class_of, id_of, reading
from wsi_parse.annotations.stream import Features, provenance_at_start, unparsed
from wsi_parse.errors import UsageError
from wsi_parse.files import atomic
from wsi_parse.gates import exists, is_same
from wsi_parse.qupath.check import Finding, Report, all_breaches, check_file, key_of
from wsi_parse.qupath.classes import repaired_name
from wsi_parse.qupath.ids import final_id, next_id
from wsi_parse.qupath.items import Feature, Item, batches
from wsi_parse.qupath.repair_geometry import fitted_geometry, is_area, with_repaired_members
from wsi_parse.qupath.repair_properties import repaired_properties
from wsi_parse.qupath.rules import BASE_CLASS, NOT_A_FEATURE, OF_GEOMETRY, SNAPPING, QuPathRule
from wsi_parse.text import RESEARCH_ONLY

_GZIP_LEVEL = 4
# In the member "wsi_parse" of what is written here.
_REPAIRED = "repaired"
_MAX_DROPPED = 1_000
# They are held in memory.
_MAX_BASES = 100
# The geometry of a value that is not a feature was not checked yet.
_RESHAPED = {*OF_GEOMETRY, NOT_A_FEATURE}


@dataclass
class Repaired:
    """The result of repairing a file.

    Parameters
    ----------
    path : Path
        The file that was written.
    features : int
        Number of features that were written.
    counts : dict of QuPathRule to int
        Number of repaired features, by the rule that they broke.
    dropped : list of (QuPathRule, Finding)
        The first features that could not be repaired, with the rule that they break.
    dropped_count : int
        How many could not be repaired.
    """

    path: Path
    features: int = 0
    counts: Counter[QuPathRule] = field(default_factory=Counter)
    dropped: list[tuple[QuPathRule, Finding]] = field(default_factory=list)
    dropped_count: int = 0

    def drop(self, rule: QuPathRule, finding: Finding) -> None:
        """Count a feature that cannot be repaired, and keep it unless there are many."""
        self.dropped_count += 1
        if len(self.dropped) < _MAX_DROPPED:
            self.dropped.append((rule, finding))


def repair(source: Path, target: Path, report: Report | None = None) -> Repaired:
    """Write a file that every version of QuPath imports, one feature per line; packed if its name ends in .gz.

    Parameters
    ----------
    source, target : Path
        The target appears whole or not at all. Features that break no rule stay as they are.
    report : Report, optional
        The result of :func:`check_file` for the source, if it is known.

    Returns
    -------
    Repaired

    Raises
    ------
    UsageError
        The source cannot be read, or the target is the source or another file that --fix did not write.
    """
    if is_same(source, target):
        raise UsageError(f"{source.name} would be overwritten.", "Choose another file or folder for --fix.")
    check_replaceable(target)
    report = report or check_file(source)
    result, used = Repaired(target), Counter[int]()
    with ExitStack() as stack, reading(source):
        file: IO[bytes] = stack.enter_context(stack.enter_context(atomic(target)).open("wb"))
        if target.suffix.lower() == ".gz":
            file = stack.enter_context(gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))  # type: ignore[arg-type]
        file.write(_head(report.members))
        for batch in _bases_first(source, report):
            for feature in _repaired(batch, result):
                name = feature["id"]
                if (key := key_of(name)) in report.duplicates:
                    used[key] += 1
                    feature["id"] = name if used[key] == 1 else next_id(name, used[key])
                file.write(b",\n" if result.features else b"\n")
                file.write(unparsed(feature))
                result.features += 1
        file.write(b"\n]}\n")
    if report.bases:
        result.counts[BASE_CLASS] = len(report.bases)
    return result


def check_replaceable(target: Path) -> None:
    """Refuse to write over a file that is not a repaired copy.

    Raises
    ------
    UsageError
        Something else is there.
    """
    if exists(target) and (target.is_dir() or not provenance_at_start(target).get(_REPAIRED)):
        raise UsageError(
            f"{target.name} exists, and is not a copy that --fix wrote.", "Choose another file or folder for --fix."
        )


def _bases_first(source: Path, report: Report) -> Iterator[list[Item]]:
    """Yield all features, first one of each class that comes only after a class derived from it."""
    wanted, first = set(sorted(report.bases)[:_MAX_BASES]), list[Item]()
    for batch in batches(Features(source)) if wanted else ():
        for item in batch:
            if item.is_feature and (name := repaired_name(class_of(item.feature))) in wanted:
                wanted.remove(name)
                first.append(item)
        if not wanted:
            break
    if first:
        # A class comes before those derived from it.
        yield sorted(first, key=lambda item: repaired_name(class_of(item.feature)).count(":"))
    places = {(item.number, item.below) for item in first}
    for batch in batches(Features(source)):
        yield [item for item in batch if not item.is_feature or (item.number, item.below) not in places]


def _head(members: Mapping[str, Any]) -> bytes:
    """Return the begin of the file: the members of the source, and the notice."""
    provenance = members.get("wsi_parse")
    ours = {"notice": RESEARCH_ONLY, **(provenance if isinstance(provenance, dict) else {}), _REPAIRED: True}
    # The mark is looked for near the beginning.
    collection = {"type": "FeatureCollection", "wsi_parse": ours, **members, "features": []}
    collection["wsi_parse"] = ours
    return unparsed(collection).removesuffix(b"]}")


def _repaired(batch: list[Item], result: Repaired) -> list[Feature]:
    """Repair features; those that QuPath may still refuse are dropped."""
    breaches = all_breaches(batch)
    features = [
        repair_feature(item.feature) if found else item.feature for item, found in zip(batch, breaches, strict=True)
    ]
    shaped = [index for index, found in enumerate(breaches) if any(rule in _RESHAPED for rule, _ in found)]
    for key in ("geometry", "nucleusGeometry"):
        which = [index for index in shaped if key in features[index]]
        fitted = fitted_geometry([features[index][key] for index in which])
        for index, geometry in zip(which, fitted, strict=True):
            if geometry is not None:
                features[index][key] = geometry
            elif key == "nucleusGeometry":
                del features[index][key]
    changed = [index for index, found in enumerate(breaches) if found and batch[index].is_feature]
    remaining = dict(zip(changed, all_breaches([Item(0, 0, features[index]) for index in changed]), strict=True))
    kept = []
    for index, (item, feature) in enumerate(zip(batch, features, strict=True)):
        # Some versions refuse what becomes invalid by rounding.
        refused = [breach for breach in remaining.get(index, ()) if breach[0].refused or breach[0] is SNAPPING]
        if refused:
            rule, detail = refused[0]
            result.drop(rule, Finding(item.number, item.below, id_of(item.feature), detail))
            continue
        result.counts.update({rule for rule, _ in breaches[index]})
        if item.is_feature:
            kept.append(feature)
    return kept


def repair_feature(feature: Feature) -> Feature:
    """Return a feature with its members repaired, except for the shape of its geometry; extra members stay."""
    if feature.get("type") != "Feature" and "geometry" not in feature:
        feature = {"type": "Feature", "geometry": feature}
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    nucleus = feature.get("nucleusGeometry") or properties.get("nucleusGeometry")
    first = {
        "type": "Feature",
        "id": final_id(feature),
        "geometry": with_repaired_members(feature.get("geometry")),
        "nucleusGeometry": with_repaired_members(nucleus) if is_area(nucleus) else None,
        "properties": repaired_properties(properties, feature),
    }
    known = {key: value for key, value in first.items() if value is not None}
    return known | {key: value for key, value in feature.items() if key not in first and value is not None}
