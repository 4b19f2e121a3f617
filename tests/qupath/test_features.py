"""The rules of QuPath's import, by their numbers in the facts file, on fuzzed outlines."""

import gzip
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.exporters.made import PROMPTS, batch_of, outlines, shapes_of, written
from wsi_parse.errors import UsageError
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.qupath.snapping import GRID_PX

Collection = dict[str, Any]


def members(value: Any) -> Iterator[Any]:
    """Yield all values inside a JSON value, at any depth."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from members(item)


def lines_of(feature: Collection) -> list[list[list[float]]]:
    geometry = feature["geometry"]
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [ring for part in parts for ring in part]


def rule_1_every_feature_is_one(collection: Collection, count: int) -> None:
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == count
    assert all(feature["type"] == "Feature" for feature in collection["features"])


def rule_2_every_polygon_is_valid(collection: Collection, count: int) -> None:
    assert shapely.is_valid(shapes_of(collection)).all()


def rule_3_still_valid_on_a_hundredth_pixel(collection: Collection, count: int) -> None:
    shapes = shapes_of(collection)
    points = shapely.get_coordinates(shapes)
    assert np.array_equal(np.round(points, 2), points)
    assert np.array_equal(points, np.rint(points / GRID_PX) * GRID_PX)


def rule_4_float32_keeps_every_point(collection: Collection, count: int) -> None:
    points = shapely.get_coordinates(shapes_of(collection))
    assert np.array_equal(points.astype(np.float32).astype(float), points)


def rule_5_only_solid_polygons_of_closed_rings(collection: Collection, count: int) -> None:
    for feature in collection["features"]:
        kind, parts = feature["geometry"]["type"], feature["geometry"]["coordinates"]
        assert kind == "Polygon" or (kind == "MultiPolygon" and len(parts) > 1)
        assert all(len(ring) >= 4 and ring[0] == ring[-1] for ring in lines_of(feature))
    assert (shapely.area(shapes_of(collection)) > 0).all()


def rule_6_nothing_is_null(collection: Collection, count: int) -> None:
    assert not any(value is None for value in members(collection["features"]))


def rule_7_every_class_has_a_colour(collection: Collection, count: int) -> None:
    for feature in collection["features"]:
        found = feature["properties"]["classification"]
        assert (found["name"], tuple(found["color"])) in {(prompt.class_name, prompt.colour) for prompt in PROMPTS}
        assert all(type(value) is int for value in found["color"])


def rule_8_the_id_is_a_uuid_on_the_feature(collection: Collection, count: int) -> None:
    ids = [feature["id"] for feature in collection["features"]]
    assert [str(uuid.UUID(text)) for text in ids] == ids
    assert len(set(ids)) == count


def rule_9_no_nucleus_in_the_properties(collection: Collection, count: int) -> None:
    assert not any("nucleusGeometry" in feature["properties"] for feature in collection["features"])


def rule_10_measurements_are_finite_numbers(collection: Collection, count: int) -> None:
    for feature in collection["features"]:
        found = feature["properties"]["measurements"]
        assert all(type(value) in (int, float) and np.isfinite(np.float32(value)) for value in found.values())


def rule_11_cells_are_detections(collection: Collection, count: int) -> None:
    kinds = {prompt.class_name: prompt.kind for prompt in PROMPTS}
    for feature in collection["features"]:
        kind = kinds[feature["properties"]["classification"]["name"]]
        assert feature["properties"]["objectType"] == {"cell": "detection", "region": "annotation"}[kind]


def rule_12_provenance_beside_the_features(collection: Collection, count: int) -> None:
    assert collection.keys() == {"type", "wsi_parse", "features"}
    assert collection["wsi_parse"]["notice"] == "research use only, not for clinical decisions"


RULES: tuple[Callable[[Collection, int], None], ...] = (
    rule_1_every_feature_is_one,
    rule_2_every_polygon_is_valid,
    rule_3_still_valid_on_a_hundredth_pixel,
    rule_4_float32_keeps_every_point,
    rule_5_only_solid_polygons_of_closed_rings,
    rule_6_nothing_is_null,
    rule_7_every_class_has_a_colour,
    rule_8_the_id_is_a_uuid_on_the_feature,
    rule_9_no_nucleus_in_the_properties,
    rule_10_measurements_are_finite_numbers,
    rule_11_cells_are_detections,
    rule_12_provenance_beside_the_features,
)


def fit(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    fitted = fit_for_qupath(shapes)
    return fitted[~shapely.is_missing(fitted)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@settings(max_examples=60)
@given(shapes=outlines(), offset=st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)))
def test_rule(
    rule: Callable[[Collection, int], None],
    tmp_path_factory: pytest.TempPathFactory,
    shapes: NDArray[np.object_],
    offset: tuple[int, int],
) -> None:
    fitted = fit(shapes)
    path = tmp_path_factory.getbasetemp() / "fuzzed.geojson"
    rule(json.loads(written(path, batch_of(fitted), offset=offset)), len(fitted))


def test_rule_13_gzip_holds_the_same_text(tmp_path: Path) -> None:
    batch = batch_of(shapely.box([0, 20], 0, [8, 30], 8))
    packed = written(tmp_path / "a.geojson.gz", batch)
    assert gzip.decompress(packed) == written(tmp_path / "a.geojson", batch)


def test_rule_14_no_byte_too_many(tmp_path: Path) -> None:
    turn = np.linspace(0, 2 * np.pi, 79, endpoint=False)
    ring = 30_000 + 15 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    text = written(tmp_path / "a.geojson", batch_of(fit(np.array([shapely.Polygon(ring)]))))
    feature = text.splitlines()[1]
    assert len(feature) < 80 * len("[30000.25,29999.75],") + 250
    assert not re.search(rb'\s(?=(?:[^"]*"[^"]*")*[^"]*$)', feature), "white space outside of strings"
    assert b".0" not in feature


@settings(max_examples=200)
@given(outlines())
def test_fitting_again_changes_nothing_but_slivers(shapes: NDArray[np.object_]) -> None:
    fitted = fit_for_qupath(shapes)
    assert fitted.shape == shapes.shape
    again = fit_for_qupath(fitted)
    for before, after in zip(fitted, again, strict=True):
        # Shapes thinner than the grid may collapse when they are snapped once more.
        areas = [0.0 if shape is None else shape.area for shape in (before, after)]
        assert abs(areas[0] - areas[1]) <= (0.0 if before is None else GRID_PX * before.length + GRID_PX**2)
        assert after is None or after.is_valid


@settings(max_examples=200)
@given(outlines())
def test_fit_moves_an_outline_by_no_more_than_the_grid(shapes: NDArray[np.object_]) -> None:
    made_valid = shapely.make_valid(shapes)
    fitted = fit_for_qupath(shapes)
    for before, after in zip(made_valid, fitted, strict=True):
        area = 0.0 if after is None else after.area
        assert abs(area - before.area) <= GRID_PX * before.length + GRID_PX**2


def one(shape: Any, name: str = "00000000-0000-8000-8000-000000000000") -> ObjectBatch:
    shapes = np.empty(1, object)
    shapes[0] = shape
    return ObjectBatch(shapes, np.zeros(1, np.int16), np.array([name], object), {})


BOX = shapely.box(0, 0, 8, 8)
BOW_TIE = shapely.Polygon([(0, 0), (8, 8), (8, 0), (0, 4)])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (one(BOW_TIE), "not valid"),
        (one(shapely.MultiPolygon([BOX])), "MultiPolygon with a single part"),
        (one(shapely.LineString([(0, 0), (1, 1)])), "neither a Polygon nor"),
        (one(shapely.GeometryCollection([BOX])), "neither a Polygon nor"),
        (one(None), "neither a Polygon nor"),
        (one(shapely.Polygon()), "has no area"),
        (one(BOX, "cell-1"), "not a UUID"),
        (one(shapely.box(0.1, 0, 8, 8)), r"\[0.1, .*not on the grid"),
        (one(shapely.box(0, 0, 2**23, 8)), "quarter pixels"),
    ],
)
def test_objects_that_qupath_would_refuse_are_errors(tmp_path: Path, batch: ObjectBatch, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        written(tmp_path / "a.geojson", batch)
    assert not list(tmp_path.iterdir())
