"""A table of QuPath's rules: for each, a feature that breaks it, and how `--fix` repairs it.

The numbers are those of "The rules for the writer" in the facts on QuPath.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.qupath.made import HOLE, SQUARE, UUID, checked, collection, feature, fixed, names, polygon, saved, without
from wsi_parse.qupath import rules
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.rules import RULES

BOW_TIE = [[0, 0], [8, 8], [8, 0], [0, 8], [0, 0]]
FAR = [[40, 40], [44, 40], [44, 44], [40, 44], [40, 40]]
OVERLAP = [[4, 4], [12, 4], [12, 12], [4, 12], [4, 4]]
OUTSIDE = [[20, 20], [20, 24], [24, 24], [24, 20], [20, 20]]
# A notch 0.003 px from the opposite side: valid, but not on hundredths of a pixel.
NOTCH = [[0, 0], [8, 0], [8, 8], [4.004, 0.004], [0, 8], [0, 0]]
# Far out, float32 has 64ths of a pixel.
FAR_NOTCH = [[x + 200_000, y + 200_000] for x, y in [[0, 0.01], [8, 0.01], [8, 8], [4, 0.02], [0, 8], [0, 0.01]]]
# The outline comes twice to one point; it has two lobes, and does not cross itself.
PINCHED = [[0, 0], [4, 4], [8, 0], [8, 8], [4, 4], [0, 8], [0, 0]]
SPIKE = [[0, 0], [8, 0], [8, 12], [8, 8], [0, 8], [0, 0]]
POINT = {"type": "Point", "coordinates": [1, 2]}
DROPPED = None


@dataclass(frozen=True)
class Row:
    """One line of the table; `made` gives the expected value for each key path of the repaired feature."""

    fact: int
    broken: Any
    rule: str
    made: Any

    def __str__(self) -> str:
        return f"{self.fact}-{self.rule}"


def multi(*parts: Any) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": [[part] for part in parts]}


def line(*points: Any) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": list(points)}


def lines(*found: Any) -> dict[str, Any]:
    return {"type": "MultiLineString", "coordinates": list(found)}


def of_type(**properties: Any) -> dict[str, Any]:
    """Return a feature whose type is not called objectType."""
    return {**feature(), "properties": properties}


def area(geometry: Any, size: float, kind: str = "Polygon") -> dict[str, Any]:
    """Return the expected kind and area of a repaired geometry."""
    return {geometry: (kind, size)}


def moved(offset: float, scale: float) -> Any:
    return [[x * scale + offset, y * scale] for x, y in SQUARE]


def coloured(colour: Any, name: str = "Tumor", **more: Any) -> dict[str, Any]:
    return feature(classification={"name": name, "color": colour, **more})


TUMOR = {"properties.classification": {"name": "Tumor", "color": [200, 0, 0]}}
IDS = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

TABLE = (
    # 2: valid polygons
    Row(2, feature(polygon(BOW_TIE)), "invalid", area("geometry", 32, "MultiPolygon")),
    Row(2, feature(polygon(SQUARE, OUTSIDE)), "invalid", area("geometry", 80, "MultiPolygon")),
    Row(2, feature(multi(SQUARE, OVERLAP)), "invalid", area("geometry", 96, "MultiPolygon")),
    Row(2, feature() | {"nucleusGeometry": polygon(BOW_TIE)}, "invalid", area("nucleusGeometry", 32, "MultiPolygon")),
    # 3: still valid when rounded
    Row(3, feature(polygon(NOTCH)), "snapping", area("geometry", 32, "MultiPolygon")),
    Row(3, feature(polygon([[0, 0], [8.001, 0], [8, 8.004], [0, 0]])), "rounded", area("geometry", 32)),
    # 4: on a grid that float32 holds
    Row(4, feature(polygon(FAR_NOTCH)), "snapping", area("geometry", shapely.Polygon(FAR_NOTCH).area, "MultiPolygon")),
    Row(4, feature(polygon(moved(1e8 + 0.25, 0.1))), "snapping", DROPPED),
    Row(4, feature(polygon(moved(2e7 + 0.25, 8))), "far", area("geometry", 64 * 64)),
    # 5: only solid polygons of closed rings
    Row(5, feature(multi(SQUARE)), "one-part", area("geometry", 64)),
    Row(5, feature({"type": "GeometryCollection", "geometries": [polygon()]}), "not-an-area", area("geometry", 64)),
    Row(5, feature({"type": "GeometryCollection", "geometries": []}), "not-an-area", DROPPED),
    Row(5, feature({"type": "Circle", "coordinates": [1, 2]}), "not-an-area", DROPPED),
    Row(5, feature({"type": "Polygon", "coordinates": []}), "no-area", DROPPED),
    Row(5, feature({"type": "MultiPolygon", "coordinates": []}), "no-area", DROPPED),
    Row(5, feature(multi(SQUARE, [])), "open-ring", area("geometry", 64)),
    Row(5, feature(polygon([[0, 0], [8, 0], [4, 0], [0, 0]])), "no-area", DROPPED),
    Row(5, feature(polygon(SQUARE[:-1])), "open-ring", area("geometry", 64)),
    Row(5, feature(polygon(SQUARE, HOLE[:-1])), "open-ring", area("geometry", 60)),
    Row(5, feature(polygon(SQUARE, HOLE[:2])), "open-ring", area("geometry", 64)),
    Row(5, feature(polygon([[0, 0], [8, 0], [0, 0]])), "open-ring no-area", DROPPED),
    Row(5, feature(polygon([[0, 0], [8, 0], [8, "x"], [0, 0]])), "coordinates", DROPPED),
    Row(5, feature(polygon([[0], [8], [8], [0]])), "coordinates", DROPPED),
    Row(5, feature({"type": "Polygon", "coordinates": {}}), "coordinates", DROPPED),
    Row(5, feature({"type": "Polygon", "coordinates": [7]}), "coordinates", DROPPED),
    Row(5, feature(polygon([[0, 0], [8, 0], [8, float("nan")], [0, 0]])), "coordinates", DROPPED),
    Row(5, feature(polygon([[0, 0], [8, 0], [8, 1e12], [0, 0]])), "coordinates", DROPPED),
    Row(5, feature(polygon([[0, 0], [8, 0], [8, 10**400], [0, 0]])), "coordinates", DROPPED),
    Row(5, feature({"type": "Point", "coordinates": []}), "coordinates", DROPPED),
    Row(5, feature({"type": "Point", "coordinates": [None, None]}), "coordinates", DROPPED),
    Row(5, feature({"type": "Point", "coordinates": [1]}), "coordinates", DROPPED),
    Row(
        5,
        feature({"type": "LineString", "coordinates": [[1, 2], ["3", 4]]}),
        "coordinate-text",
        {"geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}},
    ),
    Row(5, feature({"type": "LineString", "coordinates": [[1, 2], ["x", 4]]}), "coordinates", DROPPED),
    Row(5, feature(line([1, 2])), "short-line", {"geometry": POINT}),
    Row(
        5,
        feature({"type": "MultiLineString", "coordinates": [[[1, 2]]]}),
        "short-line",
        {"geometry.type": "MultiPoint"},
    ),
    Row(
        5,
        feature(lines([[1, 2]], [[3, 4], [5, 6]])),
        "short-line",
        {"geometry.coordinates": [[[3, 4], [5, 6]]]},
    ),
    Row(5, feature(polygon(PINCHED)), "pinched", area("geometry", 32, "MultiPolygon")),
    Row(5, feature(polygon(SPIKE)), "pinched", area("geometry", 64)),
    Row(5, feature(polygon([[0, 0, 1], [8, 0, 1], [8, 8, 1], [0, 0, 2]])), "height", area("geometry", 32)),
    Row(5, feature(polygon() | {"plane": None}), "plane", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"plane": "0"}), "plane", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"plane": 0}), "plane", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"plane": [0, 0]}), "plane", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"plane": {"Z": 2}}), "plane", {"geometry.plane": {"z": 2}}),
    Row(5, feature(polygon() | {"plane": {"z": 2, "level": 1}}), "plane", {"geometry.plane": {"z": 2}}),
    Row(5, feature(polygon() | {"plane": {"c": -1, "z": -1, "t": 3}}), "plane", {"geometry.plane": {"c": -1, "t": 3}}),
    Row(5, feature(polygon() | {"plane": {"z": 2**31}}), "plane", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"isEllipse": None}), "ellipse", {"geometry": polygon()}),
    Row(5, feature(polygon() | {"isEllipse": {}}), "ellipse", {"geometry": polygon()}),
    Row(5, feature({"type": "MultiLineString", "coordinates": [[1, 2], [3, 4]]}), "coordinates", DROPPED),
    Row(5, feature(polygon([[str(x), str(y)] for x, y in SQUARE])), "coordinate-text", area("geometry", 64)),
    Row(5, feature(polygon([[False, False], [True, False], [True, True], [False, False]])), "coordinates", DROPPED),
    # 6: no nulls
    Row(6, feature() | {"id": None}, "null-key", {"id": IDS}),
    Row(6, feature(name=None), "null-key", {"properties.name": None}),
    Row(6, feature(objectType=None), "null-key", {"properties.objectType": "annotation"}),
    Row(6, feature() | {"properties": None}, "null-key", {"properties": {"objectType": "annotation"}}),
    Row(6, feature() | {"geometry": None}, "no-geometry", DROPPED),
    Row(6, without("geometry"), "no-geometry", DROPPED),
    Row(6, feature() | {"nucleusGeometry": None}, "null-key", {"nucleusGeometry": None}),
    Row(6, feature() | {"properties": [1]}, "properties", {"properties": {"objectType": "annotation"}}),
    Row(6, feature(name=["a"]), "not-text", {"properties.name": "['a']"}),
    Row(6, feature() | {"id": {}}, "not-text", {"id": IDS}),
    Row(6, polygon(), "not-a-feature", area("geometry", 64)),
    Row(6, without("type"), "no-type", {"type": "Feature"} | area("geometry", 64)),
    Row(6, feature(name="b") | {"type": "feature"}, "not-a-feature", {"type": "Feature", "properties.name": "b"}),
    # 7: classes with colours
    Row(7, feature(classification={"name": "Tumor"}), "class-colour", TUMOR),
    Row(7, coloured("#c80000"), "class-colour", TUMOR),
    Row(7, coloured([200 / 255, 0.0, 0.0]), "class-colour", TUMOR),
    Row(7, coloured([200.0, 0.0, 0.0]), "colour-form", TUMOR),
    Row(7, coloured(None), "colour-form", TUMOR),
    Row(7, feature(classification={"name": "Tumor", "colorRGB": "-3670016"}), "colour-form", TUMOR),
    Row(7, coloured("no colour"), "class-colour", TUMOR),
    Row(7, coloured([300, -1, 0]), "class-colour", {"properties.classification.color": [255, 0, 0]}),
    Row(7, feature(classification={"name": "Tumor", "colorRGB": "#c80000"}), "class-colour", TUMOR),
    Row(
        7,
        feature(classification={"names": ["Tumor", "Positive"]}),
        "class-colour",
        {"properties.classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 0]}},
    ),
    Row(7, feature(classification={"color": [1, 2, 3]}), "class", {"properties.classification": None}),
    Row(7, feature(classification={"colorRGB": -3670016}), "class", {"properties.classification": None}),
    Row(7, feature(classification={"names": [], "color": [1, 2, 3]}), "class", {"properties.classification": None}),
    Row(7, coloured([200, 0, 0], names=[]), "class", TUMOR),
    Row(7, coloured([1, 2, 3], ""), "class", {"properties.classification": None}),
    Row(7, feature(classification=7), "class", {"properties.classification": None}),
    Row(7, feature(classification=""), "class-name", {"properties.classification": None}),
    Row(7, feature(classification="Tumor::B"), "class-name", {"properties.classification": "Tumor: B"}),
    Row(
        7, coloured([1, 2, 3], "a\nb"), "class-name", {"properties.classification": {"name": "a b", "color": [1, 2, 3]}}
    ),
    Row(7, coloured([1, 2, 3], "A: "), "class-name", {"properties.classification": {"name": "A", "color": [1, 2, 3]}}),
    Row(7, coloured([1, 2, 3], ": X"), "class-name", {"properties.classification": {"name": "X", "color": [1, 2, 3]}}),
    Row(7, coloured([1, 2, 3], " "), "class-name", {"properties.classification": None}),
    Row(
        7,
        feature(classification={"names": ["Tumor: B"], "color": [1, 2, 3]}),
        "class-name",
        {"properties.classification": {"name": "Tumor: B", "color": [1, 2, 3]}},
    ),
    Row(7, feature(color="-16711936"), "colour-form", {"properties.color": [0, 255, 0]}),
    Row(7, feature(color=[0, 255.0, 0]), "colour-form", {"properties.color": [0, 255, 0]}),
    Row(7, feature(color="#00ff00"), "colour", {"properties.color": [0, 255, 0]}),
    Row(7, feature(color="green"), "colour", {"properties.color": None}),
    # 8: UUIDs on the feature
    Row(8, feature() | {"id": "cell 7"}, "id-not-uuid", {"id": IDS}),
    Row(8, feature() | {"id": 7}, "id-not-uuid", {"id": IDS}),
    Row(8, without("id", id=UUID), "id-place", {"id": UUID, "properties.id": None}),
    Row(8, without("id"), "no-id", {"id": IDS}),
    Row(8, without("id") | {"id": "PathCellObject"}, "no-id", {"id": IDS}),
    # 9: nuclei beside geometry
    Row(
        9,
        feature(nucleusGeometry=polygon(HOLE)),
        "nucleus-place",
        {"properties.nucleusGeometry": None} | area("nucleusGeometry", 4),
    ),
    Row(9, feature() | {"nucleusGeometry": POINT}, "nucleus-form", {"nucleusGeometry": None}),
    Row(9, feature() | {"nucleusGeometry": {"type": "Circle"}}, "not-an-area", {"nucleusGeometry": None}),
    Row(
        9,
        feature() | {"nucleusGeometry": polygon(HOLE) | {"plane": {"z": 2, "q": 1}}},
        "plane",
        {"nucleusGeometry": polygon(HOLE) | {"plane": {"z": 2}}},
    ),
    Row(
        9,
        feature() | {"nucleusGeometry": polygon(HOLE) | {"isEllipse": None}},
        "ellipse",
        {"nucleusGeometry": polygon(HOLE)},
    ),
    Row(9, feature() | {"nucleusGeometry": "x"}, "not-an-area", {"nucleusGeometry": None}),
    # 10: finite numbers
    Row(10, feature(measurements=5), "measurements", {"properties.measurements": {}}),
    Row(10, feature(measurements="abc"), "measurements", {"properties.measurements": {}}),
    Row(10, feature(measurements={"a": 1, "b": None}), "measurement", {"properties.measurements": {"a": 1}}),
    Row(10, feature(measurements={"a": 1, "b": "NaN"}), "measurement", {"properties.measurements": {"a": 1}}),
    Row(10, feature(measurements={"a": 1, "b": float("nan")}), "measurement", {"properties.measurements": {"a": 1}}),
    Row(10, feature(measurements={"a": float("inf")}), "measurement", {"properties.measurements": {}}),
    Row(10, feature(measurements={"a": "1.5", "b": "high"}), "measurement", {"properties.measurements": {"a": 1.5}}),
    Row(10, feature(measurements={"a": 10**400, "b": 2}), "measurement", {"properties.measurements": {"b": 2}}),
    Row(10, feature(measurements={"a": 1e300, "b": 2}), "measurement", {"properties.measurements": {"b": 2}}),
    Row(10, feature(measurements={"a": True}), "measurement", {"properties.measurements": {}}),
    Row(
        10,
        feature(measurements=[{"name": "a", "value": 1}, {"name": "b", "value": None}, {"name": "c"}, 7]),
        "measurement",
        {"properties.measurements": {"a": 1}},
    ),
    Row(
        10,
        feature(measurements=[{"value": 1}, {"name": None, "value": 2}, {"name": 7, "value": 3}]),
        "measurement-name",
        {"properties.measurements": {"7": 3}},
    ),
    # 11: types
    Row(11, feature(objectType="root"), "root", {"properties.objectType": "annotation"}),
    Row(11, feature(objectType="PathRootObject"), "root", {"properties.objectType": "annotation"}),
    Row(11, of_type(object_type=None), "null-key", {"properties.objectType": "annotation"}),
    Row(11, of_type(object_type={}), "not-text", {"properties.objectType": "annotation"}),
    Row(11, of_type(type=None), "null-key", {"properties.objectType": "annotation"}),
    Row(11, of_type(type=[1, 2]), "not-text", {"properties.objectType": "annotation"}),
    Row(11, feature(objectType="nucleus"), "object-type", {"properties.objectType": "annotation"}),
)


def value_at(feature: Any, key_path: str) -> Any:
    for key in key_path.split("."):
        feature = feature.get(key) if isinstance(feature, dict) else None
    return feature


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_broken_rule_is_named_and_repaired(tmp_path: Path, row: Row) -> None:
    broken = [rule for rule in RULES if rule.name in row.rule.split()]
    good = [feature(number=1), feature(number=2)]
    content = collection(good[0], row.broken, good[1])
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == set(row.rule.split())
    assert report.counts == dict.fromkeys(broken, 1)
    assert report.accepted is not any(rule.refused for rule in broken)
    assert [[finding.number for finding in report.examples[rule]] for rule in broken] == [[2]] * len(broken)
    features, result = fixed(tmp_path / "a.geojson", content)
    assert [features[0], features[-1]] == good, "good features do not change"
    if row.made is DROPPED:
        assert len(features) == 2
        assert [finding.number for _, finding in result.dropped] == [2]
        return
    assert len(features) == 3
    assert not result.dropped
    assert result.counts == dict.fromkeys(broken, 1)
    for key_path, expected in row.made.items():
        found = value_at(features[1], key_path)
        if isinstance(expected, re.Pattern):
            assert expected.fullmatch(found)
        elif isinstance(expected, tuple):
            assert (found["type"], shapely.from_geojson(json.dumps(found)).area) == (
                expected[0],
                pytest.approx(expected[1], abs=1),
            )
        else:
            assert found == expected
    kept = row.broken.get("id")
    assert features[1]["id"] == kept or kept != UUID


def test_the_table_holds_every_rule_of_features() -> None:
    of_files = {
        rules.ONE_VALUE,
        rules.FILE_NAME,
        rules.NO_COLLECTION,
        rules.TOO_LARGE,
        rules.MANY_ANNOTATIONS,
        rules.DUPLICATE,
        rules.SEVERAL_LISTS,
        rules.BASE_CLASS,
        rules.NESTED,
        rules.CHILDREN,
    }
    assert {rule for row in TABLE for rule in row.rule.split()} == {rule.name for rule in RULES if rule not in of_files}
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {row.fact for row in TABLE} == set(range(2, 12))


FINE: tuple[Any, ...] = (
    feature(),
    feature(polygon(SQUARE, HOLE)),
    feature(polygon(SQUARE[::-1])),
    feature(multi(SQUARE, FAR)),
    feature(polygon([[x + 0.25, y - 0.07] for x, y in SQUARE])),
    feature({"type": "Point", "coordinates": [1, 2]}, objectType="annotation"),
    feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
    feature({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
    feature({"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4.5]]]}),
    feature(polygon([[x + 4_000_000.25, y] for x, y in SQUARE])),
    feature(polygon([[x + 20_000_000, y] for x, y in SQUARE])),
    feature(polygon() | {"isEllipse": True, "plane": {"c": -1, "z": 0, "t": 0}}),
    feature(objectType="cell") | {"nucleusGeometry": polygon(HOLE)},
    feature(classification="Tumor"),
    feature(classification=None),
    coloured([200, 0, 0]),
    feature(classification={"names": ["Tumor", "Positive"], "color": [1, 2, 3]}),
    feature(classification={"name": "Tumor", "colorRGB": -3670016}),
    feature(color=-3670016, name="7", isLocked=True, metadata={"a": "b"}),
    feature(measurements={"a": 1, "b": -0.5e9}),
    feature(measurements=[{"name": "a", "value": 1}]),
    feature(measurements=[]),
    feature(polygon([[0, 0, 1], [8, 0, 1], [8, 8, 1], [0, 0, 1]])),
    feature(polygon() | {"isEllipse": "yes", "plane": {}}),
    feature(objectType="cell", object_type=None, type={}),
    feature(classification="\u00a0"),
    without("properties"),
    feature(extra={"of": [None]}) | {"bbox": [0, 0, 8, 8]},
)


@pytest.mark.parametrize("item", FINE, ids=range(len(FINE)))
def test_good_features_are_not_reported_and_do_not_change(tmp_path: Path, item: Any) -> None:
    assert names(checked(tmp_path / "a.geojson", collection(item))) == set()
    features, result = fixed(tmp_path / "a.geojson", collection(item))
    assert features == [item]
    assert not result.counts


def test_8_a_repeated_id_is_replaced(tmp_path: Path) -> None:
    twins = [without("id", name="twin"), without("id", name="twin")]
    content = collection(feature(), feature(number=3), feature(), feature(name="b"), *twins)
    report = checked(tmp_path / "a.geojson", content)
    assert report.accepted
    assert report.counts[rules.DUPLICATE] == 3
    assert [(finding.number, finding.id) for finding in report.examples[rules.DUPLICATE]] == [
        (3, feature()["id"]),
        (4, feature()["id"]),
        (6, None),
    ]
    features, _ = fixed(tmp_path / "a.geojson", content)
    ids = [item["id"] for item in features]
    assert len(set(ids)) == len(ids) == 6
    assert ids[:2] == [feature()["id"], feature(number=3)["id"]]
    assert [item["id"] for item in fixed(tmp_path / "a.geojson", content)[0]] == ids, "the same each time"
    assert rules.DUPLICATE not in checked(tmp_path / "b.geojson", collection(*features)).counts


def test_8_a_uuid_is_the_same_in_large_letters(tmp_path: Path) -> None:
    content = collection(feature(), feature() | {"id": feature()["id"].upper()})
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == {"duplicate-id"}
    assert report.examples[rules.DUPLICATE][0].id == feature()["id"].upper()
    ids = [item["id"].lower() for item in fixed(tmp_path / "a.geojson", content)[0]]
    assert ids[0] == feature()["id"]
    assert len(set(ids)) == 2


def test_8_repeated_ids_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    items = [feature(number=number) for number in range(1_500)]
    report = check_file(saved(tmp_path / "a.geojson", collection(*items, *items)), 2)
    assert report.counts == {rules.DUPLICATE: 1_500}
    assert [(finding.number, finding.id) for finding in report.examples[rules.DUPLICATE]] == [
        (1_501, items[0]["id"]),
        (1_502, items[1]["id"]),
    ]


def test_child_features_are_reported_with_their_numbers(tmp_path: Path) -> None:
    bad = feature(polygon(BOW_TIE), number=4)
    content = collection(feature(), feature(number=2, childObjects=[feature(number=3), bad]), bad)
    report = checked(tmp_path / "a.geojson", content)
    found = {
        rule.name: [(item.number, item.below, item.id) for item in report.examples[rule]] for rule in report.counts
    }
    assert found == {
        "invalid": [(2, 2, bad["id"]), (3, 0, bad["id"])],
        "duplicate-id": [(3, 0, bad["id"])],
    }


@pytest.mark.parametrize(
    ("child", "count"),
    [(None, 2), (1, 2), (polygon(), 3), ({"type": "FeatureCollection", "features": [feature(number=5)]}, 3)],
)
def test_a_child_object_that_is_not_a_feature_is_refused_and_repaired(tmp_path: Path, child: Any, count: int) -> None:
    content = collection(feature(), feature(number=2, childObjects=[child]))
    report = checked(tmp_path / "a.geojson", content)
    assert not report.accepted
    assert [(item.number, item.below) for item in report.examples[rules.CHILDREN]] == [(2, 0)]
    features, result = fixed(tmp_path / "a.geojson", content)
    assert len(features) == count
    assert not result.dropped
    assert result.counts[rules.CHILDREN] == 1


def test_a_collection_among_the_features_is_refused_and_unpacked(tmp_path: Path) -> None:
    content = collection(feature(), collection(feature(number=2), feature(number=3)), collection())
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == {"nested-collection"}
    assert not report.accepted
    assert [item.number for item in report.examples[rules.NESTED]] == [2, 3]
    assert report.features == 3
    assert fixed(tmp_path / "a.geojson", content)[0] == [feature(), feature(number=2), feature(number=3)]


def test_of_several_lists_of_features_none_is_lost(tmp_path: Path) -> None:
    lists = [json.dumps([feature(number=number)]) for number in (1, 2)]
    for last in (lists[1], "[]"):
        text = f'{{"type":"FeatureCollection","features":{lists[0]},"features":{last}}}'
        report = checked(tmp_path / "a.geojson", text)
        assert names(report) == {"several-lists"}
        assert report.accepted
        assert len(fixed(tmp_path / "a.geojson", text)[0]) == 1 + (last != "[]")
    nested = {"about": {"features": [1]}}
    assert not names(checked(tmp_path / "a.geojson", collection(feature(), **nested)))


def test_an_object_of_a_class_comes_before_those_derived_from_it(tmp_path: Path) -> None:
    def of_class(number: int, name: str) -> dict[str, Any]:
        return feature(number=number, classification={"name": name, "color": [1, 2, number]})

    unsure, sure = of_class(1, "Epithelial: Unsure"), of_class(2, "Epithelial")
    deep, middle, base = of_class(3, "A:B: C"), of_class(4, "A: B"), of_class(5, "A")
    content = collection(unsure, feature(), deep, middle, sure, base)
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == {"base-class"}
    assert report.accepted
    assert [(item.number, item.detail) for item in report.examples[rules.BASE_CLASS]] == [
        (1, "Epithelial"),
        (3, "A"),
        (3, "A: B"),
    ]
    assert fixed(tmp_path / "a.geojson", content)[0] == [sure, base, middle, unsure, feature(), deep]
    # Nothing is invented where no object of the class exists.
    alone = collection(unsure, unsure | {"id": feature(number=9)["id"]})
    assert names(checked(tmp_path / "a.geojson", alone)) == {"base-class"}
    assert len(fixed(tmp_path / "a.geojson", alone)[0]) == 2
    assert not names(checked(tmp_path / "a.geojson", collection(sure, unsure)))


@pytest.mark.parametrize("name", ["a.txt", "a.geo", "a.geojson.txt", "a"])
def test_13_a_name_that_is_not_imported_is_a_warning(tmp_path: Path, name: str) -> None:
    report = checked(tmp_path / name, collection(feature()))
    assert names(report) == {"file-name"}
    assert report.accepted
    for good in ("a.json", "A.GEOJSON"):
        assert not names(checked(tmp_path / good, collection(feature())))


def test_an_id_that_is_not_a_uuid_gives_the_same_uuid_everywhere(tmp_path: Path) -> None:
    made = []
    for index, item in enumerate(
        (feature() | {"id": "cell 7"}, feature(name="other") | {"id": "cell 7"}, without("id", id="cell 7"))
    ):
        features, _ = fixed(tmp_path / f"{index}.geojson", collection(*[feature(number=n) for n in range(index)], item))
        made.append(features[-1]["id"])
    assert len(set(made)) == 1


def test_11_thousands_of_annotations_are_a_warning(tmp_path: Path) -> None:
    annotations = [feature(number=number, objectType="annotation") for number in range(rules.MAX_ANNOTATIONS + 1)]
    report = checked(tmp_path / "a.geojson", collection(*annotations))
    assert names(report) == {"many-annotations"}
    assert report.accepted
    assert report.annotations == rules.MAX_ANNOTATIONS + 1
    assert not names(checked(tmp_path / "a.geojson", collection(*annotations[1:])))
    cells = [{**item, "properties": {"objectType": "detection"}} for item in annotations]
    assert not names(checked(tmp_path / "a.geojson", collection(*cells)))


def test_12_extra_members_stay(tmp_path: Path) -> None:
    content = collection(
        feature(polygon(BOW_TIE)) | {"mine": {"a": 1}}, feature(), wsi_parse={"frame": "qupath"}, b=[2]
    )
    features, _ = fixed(tmp_path / "a.geojson", content)
    assert features[0]["mine"] == {"a": 1}
    written = json.loads((tmp_path / "fixed-a.geojson").read_bytes())
    assert written["b"] == [2]
    assert written["wsi_parse"]["frame"] == "qupath"


def test_values_that_the_fast_parser_cannot_write_are_written_too(tmp_path: Path) -> None:
    text = json.dumps(feature(measurements={"a": float("nan")}, large=1 << 70, half="\ud800"))
    features, _ = fixed(tmp_path / "a.geojson", text)
    assert features[0]["properties"]["large"] == 1 << 70
    assert features[0]["properties"]["half"] == "\ud800"


def test_13_newline_delimited_features_are_refused_and_joined(tmp_path: Path) -> None:
    items = [feature(number=number) for number in range(3)]
    content = "\n".join(map(json.dumps, items))
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == {"one-value"}
    assert not report.accepted
    assert fixed(tmp_path / "a.geojson", content)[0] == items


def test_14_a_large_file_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.geojson"
    content = collection(feature())
    monkeypatch.setattr("wsi_parse.qupath.check.MAX_MB", len(json.dumps(content)) / 1e6)
    assert not names(checked(path, content))
    report = checked(path, content | {"more": 1})
    assert names(report) == {"too-large"}
    assert report.accepted


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "featurecollection"}])
def test_1_a_collection_of_another_type_is_refused_and_repaired(tmp_path: Path, kind: dict[str, Any]) -> None:
    items = [feature(), feature(number=2)]
    content = {**kind, "mine": 1, "features": items}
    report = checked(tmp_path / "a.geojson", content)
    assert names(report) == {"no-collection"}
    assert not report.accepted
    assert fixed(tmp_path / "a.geojson", content)[0] == items
    assert json.loads((tmp_path / "fixed-a.geojson").read_bytes())["mine"] == 1


@pytest.mark.parametrize("kind", [{}, {"type": "feature"}])
def test_1_a_single_feature_of_another_type_is_refused_and_repaired(tmp_path: Path, kind: dict[str, Any]) -> None:
    content = without("type") | kind
    assert names(checked(tmp_path / "a.geojson", content)) == {"not-a-feature"}
    assert fixed(tmp_path / "a.geojson", content)[0] == [feature()]


FORMS: tuple[tuple[Any, int], ...] = (
    ([feature(), feature(number=2)], 2),
    (feature(), 1),
    (polygon(), 1),
    (collection(), 0),
    ([], 0),
    (feature(childObjects=[feature(number=2), feature(number=3)]), 3),
)


@pytest.mark.parametrize(("content", "count"), FORMS)
def test_1_any_form_becomes_one_collection(tmp_path: Path, content: Any, count: int) -> None:
    assert checked(tmp_path / "a.geojson", content).accepted
    features, _ = fixed(tmp_path / "a.geojson", content)
    assert len(features) == count
    assert all(item["type"] == "Feature" for item in features)


def test_child_features_are_checked_too(tmp_path: Path) -> None:
    content = feature(childObjects=[feature(polygon(BOW_TIE), number=2)])
    assert names(checked(tmp_path / "a.geojson", content)) == {"invalid"}


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(("number", "name"), [("NaN", "NaN"), ("-Infinity", "Infinity")])
def test_a_number_that_is_not_finite_is_named_wherever_it_is(tmp_path: Path, at: int, number: str, name: str) -> None:
    points = ["[0, 0]", "[30, 0]", "[30, 30]", "[0, 30]", "[0, 0]"]
    points[at] = f"[{number}, 5]"
    path = tmp_path / "a.geojson"
    path.write_text(
        '{"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [['
        + ", ".join(points)
        + "]]}}"
    )
    report = check_file(path)
    assert report.counts[rules.COORDINATES] == 1
    assert report.counts[rules.OPEN_RING] == 0
    assert [one.detail for one in report.examples[rules.COORDINATES]] == [name]
