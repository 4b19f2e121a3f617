"""Real exports of QuPath pass the check, and the repair keeps their ids, classes and areas."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.qupath.made import names
from tests.shared import shared_data_root
from wsi_parse.annotations import Annotations, read_annotations
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.repair import repair

NAMES = ("metastatic_roi_001", "primary_roi_001", "primary_roi_004")


def real(name: str) -> Path:
    return shared_data_root() / "annotations" / f"training_set_{name}_nuclei.geojson"


def broken(path: Path, source: Path) -> Path:
    """Write the same features as a careless tool would: everything is wrong, but no outline has moved."""
    features = json.loads(source.read_bytes())["features"]
    for feature in features:
        red, green, blue = feature["properties"]["classification"]["color"]
        feature["properties"]["classification"]["color"] = f"#{red:02x}{green:02x}{blue:02x}"
        feature["properties"]["measurements"] = {"a": None}
        feature["properties"]["name"] = None
        feature["nucleusGeometry"] = None
        rings = feature["geometry"]["coordinates"]
        if feature["geometry"]["type"] == "Polygon":
            feature["geometry"] = {"type": "MultiPolygon", "coordinates": [[ring[:-1] for ring in rings]]}
    path.write_text("\n".join(map(json.dumps, features)))
    return path


def same(one: Annotations, other: Annotations) -> None:
    assert one.ids.tolist() == other.ids.tolist()
    assert one.class_name.tolist() == other.class_name.tolist()
    assert one.object_type.tolist() == other.object_type.tolist()
    areas = shapely.area(one.geometry)
    assert np.abs(shapely.area(other.geometry) / areas - 1).max() <= 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_real_exports_pass(name: str) -> None:
    report = check_file(real(name))
    assert names(report) == set()
    assert report.features == report.annotations == len(read_annotations(real(name)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("end", [".geojson", ".geojson.gz"])
def test_repair_does_not_change_real_exports(tmp_path: Path, name: str, end: str) -> None:
    source, target = real(name), tmp_path / f"a{end}"
    result = repair(source, target)
    assert not result.counts
    assert not result.dropped
    same(read_annotations(source), read_annotations(target))
    again = tmp_path / f"b{end}"
    repair(target, again)
    assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_badly_written_exports_are_repaired(tmp_path: Path, name: str) -> None:
    source, target = broken(tmp_path / "broken.json", real(name)), tmp_path / "fixed.geojson"
    report = check_file(source)
    assert names(report) == {"one-value", "class-colour", "measurement", "null-key", "one-part", "open-ring"}
    assert not repair(source, target, report).dropped
    assert names(check_file(target)) == set()
    known = read_annotations(real(name))
    same(known, read_annotations(target))
    shapes = read_annotations(target).geometry
    assert shapely.equals(shapely.normalize(shapes), shapely.normalize(known.geometry)).all()
    colours = [item["properties"]["classification"]["color"] for item in json.loads(target.read_bytes())["features"]]
    truth = [item["properties"]["classification"]["color"] for item in json.loads(real(name).read_bytes())["features"]]
    assert colours == truth
