"""Check GeoJSON against the rules of QuPath, and repair it."""

import json
import os
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from wsi_parse.errors import UsageError
from wsi_parse.exporters.parts import INDEX_NAME
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.qupath.check import Finding, Report, check_file
from wsi_parse.qupath.repair import Repaired, repair
from wsi_parse.qupath.rules import FILE_ENDINGS, QuPathRule
from wsi_parse.run.manifest import RunManifest

_TELL = "This should not happen: report it, if you can with the file."


def check_files(paths: list[Path], fix: str | None, most: int, *, as_json: bool) -> int:
    """Check each file, and repair it where `fix` says to; returns the exit code."""
    files = [file for path in paths for file in _files(path)]
    targets = _targets(files, fix) if fix else [None] * len(files)
    console, good = Console(), True
    for file, target in zip(files, targets, strict=True):
        try:
            report, repaired = _done(file, target, most)
        except UsageError as error:
            good = False
            _fail(file, error, as_json=as_json)
            continue
        good &= report.accepted if repaired is None else not repaired.dropped
        if as_json:
            typer.echo(json.dumps(_told(report, repaired, most)))
        else:
            _show(console, report, repaired, most)
    return 0 if good else 1


def _files(path: Path) -> list[Path]:
    """Return the annotations of a folder of results, one or in parts; anything else as it is."""
    if not path.is_dir():
        return [path]
    manifest = RunManifest.load(path)
    names = manifest.outputs if manifest else sorted(found.name for found in path.glob("annotations*"))
    wanted = [name for name in names if name.startswith("annotations") and name.endswith(FILE_ENDINGS)]
    return [path / name for name in wanted if name != INDEX_NAME] or [path]


def _done(file: Path, target: Path | None, most: int) -> tuple[Report, Repaired | None]:
    try:
        report = check_file(file, most)
        return report, None if target is None else _repair(file, target, report)
    except UsageError:
        raise
    except RecursionError as error:
        raise UsageError(f"{file.name} is nested too deeply.", "Export it again.") from error
    except Exception as error:
        # Whatever it holds: the other files are checked.
        raise UsageError(f"{file.name} cannot be checked: {type(error).__name__}: {error}.", _TELL) from error


def _repair(file: Path, target: Path, report: Report) -> Repaired:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return repair(file, target, report)
    except OSError as error:
        raise UsageError(f"{target.name} cannot be written: {error.strerror}.", "Choose another place.") from error


def _fail(file: Path, error: UsageError, *, as_json: bool) -> None:
    """Say what is wrong with a file, and go on with the next."""
    if as_json:
        typer.echo(json.dumps({"file": file.name, "accepted": False, "error": str(error), "notice": RESEARCH_ONLY}))
    else:
        typer.echo(f"wsi-parse: {error}", err=True)


def _targets(files: list[Path], fix: str) -> list[Path]:
    """Say where each file goes.

    Raises
    ------
    UsageError
        Where that is a file that is read, or the same for two, or neither a folder nor called as QuPath's files are.
    """
    out = Path(fix)
    is_folder = fix.endswith(("/", os.sep)) or out.is_dir()
    is_file = not is_folder and out.name.lower().endswith(FILE_ENDINGS)
    if len(files) > 1 and is_file:
        raise UsageError(f"{out.name} is one file, and {len(files)} are checked.", "Give a folder to --fix.")
    if len(files) == 1 and not is_folder and not is_file:
        raise UsageError(
            f"{out.name} is no folder, and QuPath imports no file of such a name.",
            "End it in .geojson or .json, or either with .gz; a new folder in /.",
        )
    targets = [out] if is_file else [out / _named(file) for file in files]
    read = {file.resolve() for file in files}
    for target in targets:
        if target.resolve() in read:
            raise UsageError(f"{target.name} would be overwritten.", "Choose another place for --fix.")
        if targets.count(target) > 1:
            raise UsageError(f"Two files would be written as {target.name}.", "Give each a place of its own.")
    return targets


def _named(file: Path) -> str:
    """Return the name of a repaired file: as it was, where QuPath imports files of such names."""
    return file.name if file.name.lower().endswith(FILE_ENDINGS) else f"{file.stem}.geojson"


def _show(console: Console, report: Report, repaired: Repaired | None, most: int) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    verdict = "QuPath takes it" if report.accepted else "QuPath refuses it"
    say(f"{report.path.name}: {report.features:,} features, {report.bytes_read / 1e6:,.1f} MB; {verdict}.")
    for rule, count in _sorted(report):
        say(f"  {'refused' if rule.refused else 'warning'}  {rule.name}: {count:,} x. {rule.remedy}")
        for finding in report.examples.get(rule, ()):
            say(f"    {_sentence(rule, finding)}")
    if repaired is not None:
        say(f"  Written: {repaired.path.name}, {repaired.features:,} features; {RESEARCH_ONLY}.")
        if repaired.dropped:
            say(f"  Dropped: {len(repaired.dropped):,} that cannot be repaired.")
        for rule, finding in repaired.dropped[:most]:
            say(f"    {_sentence(rule, finding)}")
    elif not report.accepted:
        say("  Repair it with --fix OUT.")


def _sentence(rule: QuPathRule, finding: Finding) -> str:
    """Say what is wrong with a feature."""
    name = f" ({finding.id})" if finding.id else ""
    detail = f": {_short(finding.detail)}" if finding.detail else ""
    within = f"{finding.below:,} within feature " if finding.below else ""
    return f"Feature {within}{finding.number:,}{name} {rule.wrong}{detail}."


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _sorted(report: Report) -> list[tuple[QuPathRule, int]]:
    """What is refused comes first, and then what is most."""
    return sorted(report.counts.items(), key=lambda item: (not item[0].refused, -item[1]))


def _told(report: Report, repaired: Repaired | None, most: int) -> dict[str, Any]:
    told: dict[str, Any] = {
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
        told["repaired"] = {
            "file": repaired.path.name,
            "features": repaired.features,
            "counts": {rule.name: count for rule, count in repaired.counts.items()},
            "dropped": len(repaired.dropped),
            "examples": [_example(rule, finding) for rule, finding in repaired.dropped[:most]],
        }
    return {**told, "notice": RESEARCH_ONLY}


def _example(rule: QuPathRule, finding: Finding) -> dict[str, Any]:
    return {
        "number": finding.number,
        "within": finding.below,
        "id": finding.id,
        "rule": rule.name,
        "what": _sentence(rule, finding),
    }
