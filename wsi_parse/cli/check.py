"""The check command: GeoJSON against the rules of QuPath, and a repaired copy."""

import json
import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from wsi_parse.cli.help import OUTPUT
from wsi_parse.cli.options import Json
from wsi_parse.cli.text import counted
from wsi_parse.errors import ManifestError, UsageError, WsiParseError
from wsi_parse.gates import check_input, exists
from wsi_parse.qupath.rules import FILE_ENDINGS
from wsi_parse.text import RESEARCH_ONLY, for_terminal

if TYPE_CHECKING:
    from wsi_parse.qupath.check import Finding, Report
    from wsi_parse.qupath.repair import Repaired
    from wsi_parse.qupath.rules import QuPathRule

# Letters of an id that a report holds; that of an object has 36.
_MAX_ID = 1_000
_REPORT_IT = "Report this error to the developers of wsi-parse, with the file if you can share it."


def check(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="GeoJSON files (.geojson, .json, also .gz or .zip), or folders of results.",
            show_default=False,
        ),
    ],
    fix: Annotated[
        str | None,
        typer.Option(
            "--fix",
            metavar="OUT",
            rich_help_panel=OUTPUT,
            help="Write a repaired copy to this file or folder. The name of a new folder ends in /.",
        ),
    ] = None,
    max_examples: Annotated[
        int,
        typer.Option(
            "--max-examples",
            metavar="N",
            min=0,
            rich_help_panel=OUTPUT,
            help="Name at most N features for each rule.",
        ),
    ] = 3,
    as_json: Json = False,
) -> None:
    """Check whether QuPath v0.4 to v0.7 can import GeoJSON files, and repair them.

    The exit code is 1 if QuPath would refuse a file, or, with --fix, if a feature could not be repaired. Warnings do
    not change the exit code.

    Examples
    --------
    wsi-parse check annotations.geojson
        Can QuPath import this file? It may be one of another tool.
    wsi-parse check wsi-parse-out/slide
        Check the annotations in a folder of results.
    wsi-parse check other.geojson --fix repaired.geojson
        Write a copy that QuPath imports.
    """
    sources: list[Path] = []
    console, good = Console(), True
    for path in files:
        try:
            sources += _files(path)
        except (ManifestError, UsageError) as error:
            good = False
            _fail(path, error, as_json=as_json)
    targets = _targets(sources, fix) if fix else [None] * len(sources)
    for source, target in zip(sources, targets, strict=True):
        try:
            report, repaired = _check_and_repair(source, target, max_examples)
        except UsageError as error:
            good = False
            _fail(source, error, as_json=as_json)
            continue
        good &= report.accepted if repaired is None else not repaired.dropped
        if as_json:
            typer.echo(json.dumps(_to_dict(report, repaired, max_examples)))
        else:
            _show(console, report, repaired, max_examples)
    raise typer.Exit(0 if good else 1)


def _files(path: Path) -> list[Path]:
    """Return the annotations of a folder of results, one or in parts; anything else as it is."""
    if not check_input(path, "a GeoJSON file or a folder of results", folder=True).is_dir():
        return [path]
    from wsi_parse.exporters.geojson_parts import INDEX_NAME
    from wsi_parse.run.manifest import RunManifest

    manifest = RunManifest.load(path)
    names = manifest.outputs if manifest else sorted(found.name for found in path.glob("annotations*"))
    wanted = [name for name in names if name.startswith("annotations") and name.endswith(FILE_ENDINGS)]
    return [path / name for name in wanted if name != INDEX_NAME] or [path]


def _check_and_repair(file: Path, target: Path | None, max_examples: int) -> "tuple[Report, Repaired | None]":
    from wsi_parse.qupath.check import check_file

    try:
        report = check_file(file, max_examples)
        return report, None if target is None else _repair(file, target, report)
    except UsageError:
        raise
    except RecursionError as error:
        raise UsageError(f"{file.name} is nested too deeply.", "Export it again.") from error
    except Exception as error:
        # Whatever the file contains, the other files are checked.
        raise UsageError(f"{file.name} cannot be checked: {type(error).__name__}: {error}.", _REPORT_IT) from error


def _repair(file: Path, target: Path, report: "Report") -> "Repaired":
    from wsi_parse.qupath.repair import repair

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return repair(file, target, report)
    except OSError as error:
        raise UsageError(
            f"{target.name} cannot be written: {error.strerror}.", "Choose another file or folder."
        ) from error


def _fail(file: Path, error: WsiParseError, *, as_json: bool) -> None:
    """Print what is wrong with a file that cannot be checked or repaired."""
    if as_json:
        typer.echo(json.dumps({"file": file.name, "accepted": False, "error": str(error), "notice": RESEARCH_ONLY}))
    else:
        typer.echo(f"wsi-parse: {for_terminal(error)}", err=True)


def _targets(files: list[Path], fix: str) -> list[Path]:
    """Return where the repaired copy of each file is written.

    Raises
    ------
    UsageError
        If a copy would replace a file that is read or that --fix did not write, if two copies would have one name, or
        if QuPath does not import files of that name.
    """
    from wsi_parse.qupath.repair import check_replaceable

    out = Path(fix)
    is_folder = fix.endswith(("/", os.sep)) or (exists(out) and out.is_dir())
    is_file = not is_folder and out.name.lower().endswith(FILE_ENDINGS)
    if len(files) > 1 and is_file:
        raise UsageError(f"{out.name} is one file, but {len(files)} files are checked.", "Give a folder to --fix.")
    if len(files) == 1 and not is_folder and not is_file:
        raise UsageError(
            f"{out.name} is not a folder, and QuPath does not import files with such a name.",
            "Use a name that ends in .geojson, .json, .geojson.gz or .json.gz. The name of a new folder ends in /.",
        )
    targets = [out] if is_file else [out / _named(file) for file in files]
    read = {_identity(file) for file in files if exists(file)}
    for target in filter(exists, targets):
        if _identity(target) in read:
            raise UsageError(f"{target.name} would be overwritten.", "Choose another file or folder for --fix.")
        check_replaceable(target)
    for name, count in Counter(unicodedata.normalize("NFKC", target.name).casefold() for target in targets).items():
        if count > 1:
            raise UsageError(f"Two files would be written as {name}.", "Repair them one by one.")
    return targets


def _identity(path: Path) -> tuple[int, int]:
    """Return what two names of one file have in common, links and letters in another case included."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _named(file: Path) -> str:
    """Return the name of a repaired file: the same name, if QuPath imports files of that name."""
    return file.name if file.name.lower().endswith(FILE_ENDINGS) else f"{file.stem}.geojson"


def _show(console: Console, report: "Report", repaired: "Repaired | None", max_examples: int) -> None:
    def say(text: str) -> None:
        console.print(for_terminal(text), highlight=False, soft_wrap=True, markup=False)

    verdict = "QuPath accepts it" if report.accepted else "QuPath refuses it"
    size = f"{counted(report.features, 'feature')}, {report.bytes_read / 1e6:,.1f} MB"
    say(f"{report.path.name}: {size}; {verdict}.")
    for rule, count in _sorted(report):
        say(f"  {'refused' if rule.refused else 'warning'}  {rule.name}: {count:,} x. {rule.remedy}")
        for finding in report.examples.get(rule, ()):
            say(f"    {_sentence(rule, finding)}")
    if repaired is not None:
        say(f"  Written: {repaired.path.name}, {counted(repaired.features, 'feature')}; {RESEARCH_ONLY}.")
        if repaired.dropped:
            say(f"  Dropped: {counted(repaired.dropped_count, 'feature')} that cannot be repaired.")
        for rule, finding in repaired.dropped[:max_examples]:
            say(f"    {_sentence(rule, finding)}")
    elif not report.accepted:
        say("  To write a repaired copy, add --fix OUT.")


def _sentence(rule: "QuPathRule", finding: "Finding") -> str:
    """Say what is wrong with a feature."""
    name = f" ({_short(finding.id)})" if finding.id else ""
    detail = f": {_short(finding.detail)}" if finding.detail else ""
    within = f"{finding.below:,} within feature " if finding.below else ""
    return f"Feature {within}{finding.number:,}{name} {rule.wrong}{detail}."


def _short(text: str, max_length: int = 60) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def _sorted(report: "Report") -> "list[tuple[QuPathRule, int]]":
    """Return the rules: first those for which QuPath refuses the file, then the most frequent."""
    return sorted(report.counts.items(), key=lambda item: (not item[0].refused, -item[1]))


def _to_dict(report: "Report", repaired: "Repaired | None", max_examples: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "file": report.path.name,
        "features": report.features,
        "annotations": report.annotations,
        "bytes": report.bytes_read,
        "accepted": report.accepted,
        "rules": [
            {
                "rule": rule.name,
                "refused": rule.refused,
                "count": count,
                "remedy": rule.remedy,
                "examples": [_example(rule, finding) for finding in report.examples.get(rule, ())],
            }
            for rule, count in _sorted(report)
        ],
    }
    if repaired is not None:
        facts["repaired"] = {
            "file": repaired.path.name,
            "features": repaired.features,
            "counts": {rule.name: count for rule, count in repaired.counts.items()},
            "dropped": repaired.dropped_count,
            "examples": [_example(rule, finding) for rule, finding in repaired.dropped[:max_examples]],
        }
    return {**facts, "notice": RESEARCH_ONLY}


def _example(rule: "QuPathRule", finding: "Finding") -> dict[str, Any]:
    return {
        "number": finding.number,
        "within": finding.below,
        "id": None if finding.id is None else _short(finding.id, _MAX_ID),
        "rule": rule.name,
        "what": _sentence(rule, finding),
    }
