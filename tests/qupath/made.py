"""Builders of features, and helpers that check and repair them."""

import json
from pathlib import Path
from typing import Any

from wsi_parse.qupath.check import Report, check_file
from wsi_parse.qupath.repair import Repaired, repair

UUID = "0000000a-0000-4000-8000-000000000000"
SQUARE = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
HOLE = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings) or [SQUARE]}


def feature(geometry: Any = None, number: int = 10, **properties: Any) -> dict[str, Any]:
    properties = {"objectType": "detection", **properties}
    name = f"{number:08x}-0000-4000-8000-000000000000"
    return {"type": "Feature", "id": name, "geometry": geometry or polygon(), "properties": properties}


def without(key: str, **properties: Any) -> dict[str, Any]:
    return {name: value for name, value in feature(**properties).items() if name != key}


def collection(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **members, "features": list(features)}


def saved(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def checked(path: Path, content: Any) -> Report:
    return check_file(saved(path, content))


def fixed(path: Path, content: Any) -> tuple[list[dict[str, Any]], Repaired]:
    """Repair a file, and assert that the result is accepted."""
    target = path.with_name(f"fixed-{path.name}")
    result = repair(saved(path, content), target)
    report = check_file(target)
    assert report.accepted
    assert report.features == result.features
    written = json.loads(target.read_bytes())
    assert written["wsi_parse"]["notice"] == "research use only, not for clinical decisions"
    return written["features"], result


def names(report: Report) -> set[str]:
    return {rule.name for rule in report.counts}
