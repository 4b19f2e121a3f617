"""Files of others lie over the slide where they belong, with their classes, and are compared with the run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from tests.viewer.made import TABLE, all_cells, batch_of, layer_of
from wsi_parse.errors import UsageError
from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide
from wsi_parse.slides.slide import Slide
from wsi_parse.viewer.counts import counts_in
from wsi_parse.viewer.file_layer import Result, layer_of_file
from wsi_parse.viewer.layers import Layer
from wsi_parse.viewer.object_table import ObjectTable
from wsi_parse.viewer.shelf import Shelf


@pytest.fixture
def slide() -> Slide:
    return open_slide(np.full((900, 1200, 3), 240, np.uint8))


def feature(shape: Any, name: str | None = "Tumor", kind: str = "detection", **properties: Any) -> dict[str, Any]:
    classification = {} if name is None else {"classification": {"name": name, "color": [1, 2, 3]}}
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shape),
        "properties": {"objectType": kind, **classification, **properties},
    }


def write(path: Path, features: list[dict[str, Any]], **members: Any) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **members}))
    return path


def shown(path: Path, slide: Slide, result: Result | None = None) -> tuple[Layer, list[str]]:
    said: list[str] = []
    shelf = Shelf(path.parent, path.parent / "temporary", said.append)
    return layer_of_file(path, slide, result, shelf, said.append), said


def classes_of(layer: Layer) -> dict[tuple[str, str], int]:
    """Return the number of objects of each class that has any, by its name and prompt."""
    found = layer.to_dict(1)["classes"]
    return {(one["name"], one["prompt"]): one["objects"] for one in found if one["objects"]}


def test_objects_keep_class_colour_and_measurements(tmp_path: Path, slide: Slide) -> None:
    features = [
        feature(shapely.box(0, 0, 9, 9), "Tumor: Unsure", measurements={"class_probability": 0.25, "Nucleus/µm²": 5}),
        feature(shapely.box(20, 0, 29, 9), measurements=[{"name": "class_probability", "value": 0.75}]),
        feature(shapely.box(0, 40, 90, 90), None, "annotation"),
    ]
    features[1]["id"] = "own id"
    layer, said = shown(write(tmp_path / "a.geojson", features), slide)
    assert said == []
    assert classes_of(layer) == {("Tumor", ""): 1, ("Tumor: Unsure", ""): 1, ("Unclassified", ""): 1}
    facts = layer.to_dict(1)
    assert (
        facts["classes"][facts["classes"].index(next(c for c in facts["classes"] if c["name"] == "Tumor"))]["color"]
        == "#010203"
    )
    assert facts["probability"] == "class_probability"
    assert {one["name"] for one in facts["measurements"]} == {"class_probability", "Nucleus/µm²"}
    assert counts_in(layer.store, 0, 0, 100, 100).sum(axis=0)[[8, 24, 31]].tolist() == [1, 1, 1]
    found = layer.details.row(1)
    assert found is not None
    assert (found["id"], found["prompt"], found["class_name"]) == ("own id", "", "Tumor")
    assert layer.details.row(3) is None


def test_a_file_without_a_frame_counts_as_qupath_does(tmp_path: Path, slide: Slide) -> None:
    from dataclasses import replace

    slide.info = replace(slide.info, bounds_level0=Box(300, 200, 600, 600))
    square = shapely.box(10, 20, 30, 40)
    for name, members, x in (
        ("plain", {}, 310),
        ("own", {"wsi_parse": {"frame": "level0"}}, 10),
        ("moved", {"wsi_parse": {"offset_level0_px": [7, 5]}}, 17),
    ):
        # Our member may come after the features, if another program wrote the file again.
        layer, _ = shown(write(tmp_path / f"{name}.geojson", [feature(square)], **members), slide)
        assert shapely.bounds(all_cells(layer)[0].shapes()[0])[0] == x


def test_what_has_no_area_is_said(tmp_path: Path, slide: Slide) -> None:
    features = [
        feature(shapely.Point(1, 1)),
        feature(shapely.box(0, 0, 5, 5)),
        feature(shapely.LineString([(0, 0), (9, 9)])),
    ]
    layer, said = shown(write(tmp_path / "a.geojson", features), slide)
    assert sum(layer.store.objects) == 1
    assert said == ["a.geojson: what has no area is not shown (1 LineString, 1 Point)."]


def test_another_slide_is_said(tmp_path: Path, slide: Slide) -> None:
    other = {"slide": {"name": "other.svs", "fingerprint": "f", "width_px": 5, "height_px": 5}}
    _, said = shown(write(tmp_path / "a.geojson", [feature(shapely.box(0, 0, 5, 5))], wsi_parse=other), slide)
    assert said == ["a.geojson states that it was made from another slide, other.svs."]


def test_a_file_that_is_no_geojson_is_refused(tmp_path: Path, slide: Slide) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": [')
    with pytest.raises(UsageError, match="incomplete"):
        shown(tmp_path / "a.geojson", slide)
    names = [feature(shapely.box(0, 0, 5, 5), f"class {number}") for number in range(200)]
    with pytest.raises(UsageError, match="more than 100 classes"):
        shown(write(tmp_path / "b.geojson", names), slide)


def test_an_empty_file_is_an_empty_layer(tmp_path: Path, slide: Slide) -> None:
    layer, _ = shown(write(tmp_path / "a.geojson", []), slide)
    assert layer.to_dict(1)["objects"] == 0


@pytest.fixture
def result(tmp_path: Path) -> Result:
    """Four cells of the run: two sure, one unsure, and one that a person removes."""
    folder = tmp_path / "run"
    folder.mkdir()
    shapes = shapely.box([0, 50, 100, 150], 0, [10, 60, 110, 160], 10)
    layer = layer_of(folder, batch_of(shapes, [0, 0, 1, 0], 0.5))
    return Result(ObjectTable(folder / "objects.parquet", TABLE), layer)


def test_corrections_are_coloured_by_how_they_agree(tmp_path: Path, slide: Slide, result: Result) -> None:
    tumor = TABLE.rows[0].name
    features = [
        feature(shapely.box(0, 0, 10, 10), tumor),
        feature(shapely.box(51, 0, 61, 10), "Stroma"),
        # Whether it is sure does not matter.
        feature(shapely.box(100, 0, 110, 10), tumor),
        feature(shapely.box(200, 0, 210, 10), tumor),
        feature(shapely.box(0, 0, 500, 500), "Tissue", "annotation"),
        feature(shapely.box(0, 0, 500, 500), "Region*", "annotation"),
    ]
    layer, _ = shown(write(tmp_path / "corrected.geojson", features), slide, result)
    assert classes_of(layer) == {
        ("agree", tumor): 2,
        ("other class", "Stroma"): 1,
        ("only here", tumor): 1,
        ("only in the result", tumor): 1,
        ("Tissue", ""): 1,
        ("Region*", ""): 1,
    }
    names = [one["name"] for one in layer.to_dict(1)["classes"]]
    whole = np.concatenate([each.shapes() for each in all_cells(layer)])
    index = np.concatenate([each.class_index for each in all_cells(layer)])
    where = {name: shapely.bounds(whole[index == number])[:, 0].tolist() for number, name in enumerate(names)}
    assert where["only here"] == [200]
    assert where["only in the result"] == [150]
    assert where["other class"] == [51]
    # A click on what only the result has shows what the run says of it.
    found = layer.details.row(len(layer.details) - 1)
    assert found is not None
    assert (found["id"], found["prompt"]) == ("id 3", TABLE.rows[0].prompt.name)


def test_the_same_file_agrees_with_itself(tmp_path: Path, slide: Slide, result: Result) -> None:
    features = [feature(shapely.box(x, 0, x + 10, 10), TABLE.rows[0].name) for x in (0, 50, 100, 150)]
    layer, _ = shown(write(tmp_path / "same.geojson", features), slide, result)
    assert classes_of(layer) == {("agree", TABLE.rows[0].name): 4}


def test_too_many_objects_are_not_compared_and_it_is_said(
    tmp_path: Path, slide: Slide, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsi_parse.viewer.file_layer._MOST_COMPARED", 4)
    layer, said = shown(write(tmp_path / "a.geojson", [feature(shapely.box(0, 0, 9, 9))]), slide, result)
    assert "not compared" in said[0]
    assert classes_of(layer) == {("Tumor", ""): 1}


def test_names_that_are_scripts_are_only_text(tmp_path: Path, slide: Slide) -> None:
    script = "</script><script>alert(1)</script>"
    layer, _ = shown(write(tmp_path / "a.geojson", [feature(shapely.box(0, 0, 9, 9), script)]), slide)
    assert classes_of(layer) == {(script, ""): 1}


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path: Path, slide: Slide) -> None:
    (tmp_path / "view").mkdir()
    shelf = Shelf(tmp_path, tmp_path / "temporary", lambda _: None)
    layers = []
    for number, name in enumerate(("Tumor", "Stroma")):
        folder = tmp_path / f"reviewer {number}"
        folder.mkdir()
        path = write(folder / "corrected.geojson", [feature(shapely.box(100 * number, 0, 100 * number + 9, 9), name)])
        layers.append(layer_of_file(path, slide, None, shelf, lambda _: None))
    assert [(layer.details.row(0) or {})["class_name"] for layer in layers] == ["Tumor", "Stroma"]


def test_more_classes_than_can_be_numbered_are_counted_together(
    tmp_path: Path, slide: Slide, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsi_parse.viewer.file_layer.MAX_CLASSES", 30)
    kinds = ("detection", "annotation")
    features = [
        feature(shapely.box(20 * n, 300, 20 * n + 9, 309), f"class {n}{'*' if n % 3 == 0 else ''}", kinds[n % 2])
        for n in range(60)
    ]
    for beside in (None, result):
        layer, _ = shown(write(tmp_path / "many.geojson", features), slide, beside)
        assert len(layer.classes) <= 30
        assert sum(layer.store.objects) >= 60


def test_objects_that_cannot_be_shown_are_said(tmp_path: Path, slide: Slide) -> None:
    far = shapely.box(5e12, 0, 5e12 + 9e6, 9)
    for _ in range(2):
        layer, said = shown(write(tmp_path / "far.geojson", [feature(shapely.box(0, 0, 9, 9)), feature(far)]), slide)
        assert sum(layer.store.objects) == 1
        assert any("far.geojson: 1 of its objects" in one for one in said)
