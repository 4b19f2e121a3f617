"""Every form that QuPath v0.4 to v0.7 exports is read completely, however the file is packed or cut."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import shared_data_root
from wsi_parse.annotations import pieces, read_annotations, stream
from wsi_parse.errors import UsageError

UUIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(9)]
SQUARE = [[[0, 0], [8, 0], [8, 8.25], [0, 8.25], [0, 0]]]
HOLED = [*SQUARE, [[2, 2], [2, 4], [4, 4], [2, 2]]]
FAR = [[[100, 100], [104, 100], [104, 104], [100, 100]]]


def polygon(rings: Any = SQUARE) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": rings}


def feature(number: int = 0, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": UUIDS[number], "geometry": geometry or polygon(), "properties": properties}


def saved(tmp_path: Path, content: Any, name: str = "a.geojson", **style: Any) -> Path:
    path = tmp_path / name
    text = content if isinstance(content, bytes) else json.dumps(content, **style).encode()
    if name.lower().endswith(".gz"):
        text = gzip.compress(text)
    path.write_bytes(text)
    return path


COLLECTION = {
    "type": "FeatureCollection",
    "wsi_parse": {"frame": "qupath", "slide": {"name": 'a "}{[" \\'}},
    "features": [
        feature(0, objectType="detection", classification={"name": "Tumor", "color": [200, 0, 0]}, name='br{ce" \\'),
        feature(1, {"type": "MultiPolygon", "coordinates": [HOLED, FAR]}, objectType="annotation"),
        feature(2, objectType="annotation", classification={"names": ["Tumor", "Positive"], "color": [1, 2, 3]}),
    ],
    "after": [{"features": [{}]}, 1],
}


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.geojson.gz", "A.JSON.GZ"])
@pytest.mark.parametrize(
    "style", [{}, {"indent": 2}, {"separators": (",", ":")}], ids=["spaced", "indented", "compact"]
)
def test_a_collection(tmp_path: Path, name: str, style: dict[str, Any]) -> None:
    found = read_annotations(saved(tmp_path, COLLECTION, name, **style))
    assert found.ids.tolist() == UUIDS[:3]
    assert found.class_name.tolist() == ["Tumor", "", "Tumor: Positive"]
    assert found.object_type.tolist() == ["detection", "annotation", "annotation"]
    assert shapely.area(found.geometry).tolist() == [66, 66 - 2 + 8, 66]
    assert shapely.get_num_geometries(found.geometry).tolist() == [1, 2, 1]
    assert found.provenance == COLLECTION["wsi_parse"]
    assert found.skipped == {}
    assert found.nucleus is None
    assert len(found) == 3


@pytest.mark.parametrize(
    "content",
    [
        [feature(0), feature(1)],
        {"features": [feature(0), feature(1)], "type": "FeatureCollection"},
        [{"type": "FeatureCollection", "features": [feature(0)]}, feature(1)],
    ],
    ids=["array", "type last", "collection in an array"],
)
def test_other_forms_of_several(tmp_path: Path, content: Any) -> None:
    found = read_annotations(saved(tmp_path, content))
    assert found.ids.tolist() == UUIDS[:2]
    assert found.provenance == {}


@pytest.mark.parametrize("content", [feature(3), [feature(3)]], ids=["feature", "array"])
def test_a_single_feature(tmp_path: Path, content: Any) -> None:
    assert read_annotations(saved(tmp_path, content, indent=1)).ids.tolist() == UUIDS[3:4]


@pytest.mark.parametrize("content", [polygon(), [polygon()]])
def test_a_bare_geometry(tmp_path: Path, content: Any) -> None:
    found = read_annotations(saved(tmp_path, content))
    assert [shape.equals(shapely.box(0, 0, 8, 8.25)) for shape in found.geometry] == [True]
    assert found.ids.tolist() == [None]
    assert found.object_type.tolist() == ["annotation"]
    assert found.class_name.tolist() == [""]


@pytest.mark.parametrize("content", [{"type": "FeatureCollection", "features": []}, [], b" [ ] "])
def test_an_empty_file_is_a_valid_result(tmp_path: Path, content: Any) -> None:
    found = read_annotations(saved(tmp_path, content))
    assert len(found) == 0
    assert found.geometry.dtype == found.ids.dtype == object


def test_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("a.geojson", json.dumps(COLLECTION))
        package.writestr("readme.txt", "{")
    assert read_annotations(path).ids.tolist() == UUIDS[:3]
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("b.json", "[]")
    with pytest.raises(UsageError, match="2 GeoJSON files"):
        read_annotations(path)


def test_files_of_v0_4(tmp_path: Path) -> None:
    text = b"""{"type":"FeatureCollection","features":[
    {"type":"Feature","id":"%s","geometry":%s,"properties":{"object_type":"detection",
    "classification":{"name":"Tumor","colorRGB":-3670016},"isLocked":false,
    "measurements":[{"name":"Area","value":66.0},{"name":"Hole","value":NaN},{"name":"Ratio","value":-Infinity}]}}]}"""
    content = text % (UUIDS[0].encode(), json.dumps(polygon()).encode())
    found = read_annotations(saved(tmp_path, content))
    assert found.ids.tolist() == UUIDS[:1]
    assert found.class_name.tolist() == ["Tumor"]
    assert found.object_type.tolist() == ["detection"]


def test_files_of_older_versions(tmp_path: Path) -> None:
    found = read_annotations(saved(tmp_path, [{**feature(), "id": "PathCellObject"}]))
    assert found.ids.tolist() == [None]
    assert found.object_type.tolist() == ["cell"]


def test_repeated_metadata_are_read(tmp_path: Path) -> None:
    text = json.dumps(feature(0, objectType="annotation", measurements={"a": "NaN", "b": "Infinity"}))
    twice = text.replace('"objectType"', '"metadata": {"a": "}"}, "metadata": {"b": "1"}, "objectType"')
    assert read_annotations(saved(tmp_path, twice.encode())).object_type.tolist() == ["annotation"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_cell_and_its_nucleus(tmp_path: Path, inside: bool) -> None:
    cell, bare = feature(0, objectType="cell"), feature(1, objectType="cell")
    (cell["properties"] if inside else cell)["nucleusGeometry"] = polygon([[[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]])
    found = read_annotations(saved(tmp_path, [cell, bare]))
    assert found.nucleus is not None
    assert found.nucleus[0].area == 4
    assert found.nucleus[1] is None


def test_child_features_are_read_too(tmp_path: Path) -> None:
    content = feature(0, childObjects=[feature(1, children=[feature(2)]), feature(3)])
    assert read_annotations(saved(tmp_path, content)).ids.tolist() == UUIDS[:4]


def test_an_ellipse_is_read_as_a_polygon(tmp_path: Path) -> None:
    assert len(read_annotations(saved(tmp_path, [feature(0, {**polygon(), "isEllipse": True})]))) == 1


def test_features_without_an_area_are_counted(tmp_path: Path) -> None:
    content = [
        feature(0),
        feature(1, {"type": "Point", "coordinates": [1, 2]}),
        feature(2, {"type": "MultiPoint", "coordinates": [[1, 2]]}),
        feature(3, {"type": "Point", "coordinates": [1, 2]}),
        {**feature(4), "geometry": None},
        feature(5, polygon([])),
        feature(6, polygon([[[0, 0], [1, 1]]])),
        feature(7, polygon([[[1e300, 0], [1, 1], [2, 2]]])),
        feature(8, {"type": "GeometryCollection", "geometries": [polygon(), {"type": "Point", "coordinates": [0, 0]}]}),
    ]
    found = read_annotations(saved(tmp_path, content))
    assert found.ids.tolist() == [UUIDS[0], UUIDS[8]]
    assert found.skipped == {
        "Point": 2,
        "MultiPoint": 1,
        "no geometry": 1,
        "empty Polygon": 1,
        "damaged coordinates": 2,
    }


def test_heights_are_dropped_and_rings_are_closed(tmp_path: Path) -> None:
    content = [feature(0, polygon([[[0, 0, 5], [8, 0, 5], [8, 8]]])), feature(1, polygon([[[0, 0], [8, 0], [8, 8]]]))]
    found = read_annotations(saved(tmp_path, content))
    assert shapely.area(found.geometry).tolist() == [32, 32]
    assert not shapely.has_z(found.geometry).any()


def test_one_feature_per_line_is_read_too(tmp_path: Path) -> None:
    content = b"\n".join(json.dumps(feature(number)).encode() for number in range(4))
    assert read_annotations(saved(tmp_path, content)).ids.tolist() == UUIDS[:4]


WHOLE = json.dumps(COLLECTION).encode()


ONE = json.dumps(feature())
NULLS = [
    pattern.format(f"[{inner}]").replace("<", "{").replace(">", "}")
    for pattern in ('<"type": "FeatureCollection", "features": {}>', "{}", '<"features": {}, "more": <>>')
    for inner in ("null", f"{ONE}, null", f"null, {ONE}", f"{ONE}, null, {ONE}", f"{ONE},\n null\n")
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"hello", "is not valid GeoJSON"),
        (b"\x1f\x8b\x08", r"is packed as a \.gz file, but its name does not end in \.gz"),
        (b'{"a": 1}', "neither features nor a geometry"),
        (b'{"type": "FeatureCollection"}', "neither features nor a geometry"),
        (b'{"type": "FeatureCollection", "features": {}}', "its features are not a list"),
        (b"[1, 2]", "values that are not features"),
        (b'[{"type": "Feature", "geometry": oops}]', "Feature 1 of a.geojson is not valid JSON"),
        (b'{"type": "FeatureCollection", "features": [{} {}]}', "between two features"),
        (b'{"type": "FeatureCollection", "features": null}', "its features are not a list"),
        (b"[{}, 5, {}]", "between two features"),
        (b"[{}, 5]", "values that are not features|not valid GeoJSON"),
        (b'{"type": "FeatureCollection", "features": [{} 5]}', "values that are not features"),
        (b'{"type": "FeatureCollection", "features": [5, {}]}', "values that are not features"),
        (b'{"type": "FeatureCollection", "features": [{},]}', "not valid GeoJSON"),
        *((text.encode(), r"the list of features contains null\. Remove null from the list") for text in NULLS),
        (b'{"type": "Feature", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply"),
        (b'[{"type": "Feature", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "too deeply"),
        (b'{"type": "Feature"} junk', "more text after the end"),
        (b"[]]", "not valid GeoJSON"),
        (b'{"type": "Feature"}}', "a closing brace without an opening one"),
        (b'{"type": "Feature", }', "not valid GeoJSON"),
    ],
)
def test_invalid_geojson_is_refused_with_a_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_annotations(saved(tmp_path, content))
    assert "a.geojson" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("text", [WHOLE, json.dumps(COLLECTION["features"]).encode(), json.dumps(feature()).encode()])
def test_cut_short_anywhere_is_an_error(tmp_path: Path, text: bytes) -> None:
    for length in range(1, len(text)):
        with pytest.raises(UsageError):
            read_annotations(saved(tmp_path, text[:length]))


def test_a_folder_is_refused_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder, not a GeoJSON file\. Give the GeoJSON files in the folder"):
        read_annotations(tmp_path)


def test_a_cut_gz_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(gzip.compress(WHOLE)[:-20])
    with pytest.raises(UsageError, match="is incomplete"):
        read_annotations(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(UsageError, match="cannot be read"):
        read_annotations(path)
    with pytest.raises(UsageError, match=r"There is no file .*no\.geojson\..* Check the path"):
        read_annotations(tmp_path / "no.geojson")


# Characters that could be mistaken for structure, also in the middle of an escape.
tricky = st.text(st.sampled_from('\\"{}[],:ab\n é🔬'), max_size=12)
values = st.recursive(
    st.one_of(tricky, st.integers(-9, 9), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(tricky, inner, max_size=3)),
    max_leaves=6,
)


@given(
    extra=st.lists(st.dictionaries(tricky, values, max_size=3), max_size=4),
    around=st.dictionaries(tricky.filter(lambda name: name not in ("type", "features")), values, max_size=3),
    size=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    bare=st.booleans(),
    raw=st.booleans(),
)
def test_features_are_the_same_however_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    extra: list[dict[str, Any]],
    around: dict[str, Any],
    size: int,
    indent: int | None,
    bare: bool,
    raw: bool,
) -> None:
    features = [{"type": "Feature", "properties": properties} for properties in extra]
    content = features if bare else {**around, "type": "FeatureCollection", "features": features, "more": around}
    path = tmp_path_factory.getbasetemp() / "cut.geojson"
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=raw), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_PIECE", size)
        source = stream.Features(path)
        assert [json.loads(text) for text in source] == features
    assert source.members == ({} if bare else {**around, "more": around})
    assert source.roots == 1
    assert source.bytes_read == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "count"), [("metastatic_roi_001", 633), ("primary_roi_001", 635), ("primary_roi_004", 368)]
)
def test_real_exports_are_read_completely(name: str, count: int) -> None:
    path = shared_data_root() / "annotations" / f"training_set_{name}_nuclei.geojson"
    features = json.loads(path.read_bytes())["features"]
    found = read_annotations(path)
    assert len(found) == len(features) == count
    assert found.ids.tolist() == [feature["id"] for feature in features]
    assert found.class_name.tolist() == [feature["properties"]["classification"]["name"] for feature in features]
    known = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    assert shapely.equals_exact(found.geometry, known).all()
    assert found.skipped == {}


def test_real_exports_hold_eight_of_the_ten_classes_of_puma() -> None:
    paths = sorted((shared_data_root() / "annotations").glob("*.geojson"))
    names = {name.removeprefix("nuclei_") for path in paths for name in read_annotations(path).class_name}
    # Neutrophils and plasma cells are in none of the three.
    assert names == {
        "tumor",
        "lymphocyte",
        "stroma",
        "histiocyte",
        "endothelium",
        "epithelium",
        "apoptosis",
        "melanophage",
    }
