"""Parts: each of a size that QuPath opens, every object in one of them, an index that is right, nothing stale."""

import gzip
import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.exporters.made import CLASSES, PROVENANCE, cells, shapes_of
from wsi_parse.errors import UsageError
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.exporters.geojson_parts import INDEX_NAME, GeoJsonParts
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.rules import BASE_CLASS


def in_strips(count: int) -> ObjectBatch:
    """Cells from top to bottom, as chunks give them."""
    batch = cells(count)
    order = np.argsort(shapely.bounds(batch.geometry)[:, 1])
    return ObjectBatch(
        batch.geometry[order],
        batch.class_index[order],
        batch.ids[order],
        {name: values[order] for name, values in batch.measurements.items()},
    )


def write(path: Path, *batches: ObjectBatch, **limits: int) -> GeoJsonParts:
    with GeoJsonParts(path, ExportContext(CLASSES, (30, 20), PROVENANCE, **limits)) as exporter:
        for batch in batches:
            exporter.write(batch)
    return exporter


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("endings", [".geojson", ".geojson.gz"])
@pytest.mark.parametrize("limit", [{"max_part_bytes": 30_000}, {"max_part_objects": 77}, {"max_part_bytes": 1}])
def test_every_object_is_in_one_part_and_the_index_is_right(
    tmp_path: Path, endings: str, limit: dict[str, int]
) -> None:
    batch = in_strips(300)
    exporter = write(tmp_path / f"annotations{endings}", batch, **limit)
    index = json.loads((tmp_path / INDEX_NAME).read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in exporter.written}
    assert [part["file"] for part in index["parts"]] == [path.name for path in exporter.written[:-1]]
    assert exporter.written[0].name == f"annotations_01{endings}"
    assert "research use only" in index["notice"]
    assert index["frame"] == "qupath"
    found: list[str] = []
    for part in index["parts"]:
        data = read(tmp_path / part["file"])
        features = json.loads(data)["features"]
        assert json.loads(data)["wsi_parse"] == PROVENANCE
        assert part["objects"] == len(features) > 0
        assert part["bytes"] == len(data)
        assert part["sha256"] == hashlib.sha256((tmp_path / part["file"]).read_bytes()).hexdigest()
        assert part["bounds_px"] == pytest.approx(shapely.total_bounds(shapes_of({"features": features})))
        assert len(features) <= limit.get("max_part_objects", 300)
        assert len(features) == 1 or len(data) <= limit.get("max_part_bytes", 10**9)
        found += [feature["id"] for feature in features]
    assert found == list(batch.ids)
    tops = [part["bounds_px"][1] for part in index["parts"]]
    assert tops == sorted(tops), "strips, cut by place"
    assert exporter.heap_bytes == 14 * max(part["bytes"] for part in index["parts"])


def test_parts_are_as_full_as_they_may_be(tmp_path: Path) -> None:
    limit = 30_000
    sizes = write(tmp_path / "annotations.geojson", in_strips(300), max_part_bytes=limit).sizes
    assert len(sizes) > 2
    assert min(sizes[:-1]) > limit - 600


@pytest.mark.parametrize("limit", [{"max_part_bytes": 30_000}, {"max_part_objects": 77}])
def test_where_parts_end_does_not_depend_on_batches(tmp_path: Path, limit: dict[str, int]) -> None:
    batch = in_strips(300)
    contents = []
    for name, cuts in (("whole", (0, 300)), ("cut", (0, 1, 150, 300)), ("empty", (0, 0, 77, 77, 300))):
        (tmp_path / name).mkdir()
        pieces = [batch.part(*both) for both in itertools.pairwise(cuts)]
        written = write(tmp_path / name / "annotations.geojson", *pieces, **limit).written
        contents.append({path.name: path.read_bytes() for path in written})
    assert contents[0] == contents[1] == contents[2]


def test_one_file_where_one_will_do(tmp_path: Path) -> None:
    batch = in_strips(50)
    assert list(write(tmp_path / "annotations.geojson", batch).written) == [tmp_path / "annotations.geojson"]
    with GeoJsonExporter(tmp_path / "plain.geojson", ExportContext(CLASSES, (30, 20), PROVENANCE)) as plain:
        plain.write(batch)
    assert (tmp_path / "annotations.geojson").read_bytes() == (tmp_path / "plain.geojson").read_bytes()
    assert json.loads(write(tmp_path / "none.geojson").written[0].read_bytes())["features"] == []


def test_nothing_of_an_earlier_run_stays(tmp_path: Path) -> None:
    other = tmp_path / "annotations_notes.txt"
    other.write_text("mine")
    for name, limits in (
        ("annotations.geojson", {"max_part_objects": 20}),
        ("annotations.geojson", {"max_part_objects": 60}),
        ("annotations.geojson.gz", {"max_part_objects": 60}),
        ("annotations.geojson", {}),
        ("annotations.geojson.gz", {"max_part_objects": 90}),
    ):
        written = write(tmp_path / name, in_strips(100), **limits).written
        assert set(tmp_path.iterdir()) == {*written, other}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_what_was_there_and_leaves_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    before = {
        path: path.read_bytes() for path in write(tmp_path / "a.geojson", in_strips(100), max_part_objects=30).written
    }
    context = ExportContext(CLASSES, (0, 0), PROVENANCE, max_part_objects=10)
    with pytest.raises(error), GeoJsonParts(tmp_path / "a.geojson", context) as exporter:  # noqa: PT012 - comes after some work
        exporter.write(in_strips(50))
        raise error
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("max_part_bytes", range(1_620, 1_634, 2))
def test_parts_do_not_depend_on_the_batches_by_a_single_byte(tmp_path: Path, max_part_bytes: int) -> None:
    batch = in_strips(12)
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    write(tmp_path / "one" / "a.geojson", batch, max_part_bytes=max_part_bytes)
    write(tmp_path / "many" / "a.geojson", *batch.parts(1), max_part_bytes=max_part_bytes)
    one, many = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "many"))
    assert one == many
    assert len(one) > 2


def classes_in(data: bytes) -> list[str]:
    return [feature["properties"]["classification"]["name"] for feature in json.loads(data)["features"]]


def with_classes(rows: list[int]) -> ObjectBatch:
    return replace(in_strips(len(rows)), class_index=np.array(rows, np.int16))


# Rows of CLASSES: Tumor, Tumor: Unsure, Gland, Gland: Unsure, …
UNSURE_FIRST = [3, 3, 1, 3, 2, 1, 0, 2, 3, 0, 1, 2]


@pytest.mark.parametrize("endings", [".geojson", ".geojson.gz"])
def test_a_class_comes_before_its_unsure_objects_in_every_part(tmp_path: Path, endings: str) -> None:
    batch = with_classes(UNSURE_FIRST * 20)
    whole = write(tmp_path / f"a{endings}", batch)
    names = classes_in(read(whole.written[0]))
    assert names[:5] == ["Gland", "Tumor", "Gland: Unsure", "Gland: Unsure", "Tumor: Unsure"]
    found = [feature["id"] for feature in json.loads(read(whole.written[0]))["features"]]
    ids = list(batch.ids)
    assert found == [ids[4], ids[6], *ids[:4], ids[5], *ids[7:]], "only these two move"
    assert whole.sizes == [len(read(whole.written[0]))]
    parts = write(tmp_path / f"b{endings}", batch, max_part_objects=50)
    contents = [read(path) for path in parts.written[:-1]]
    assert parts.sizes == list(map(len, contents))
    assert sorted(feature["id"] for data in contents for feature in json.loads(data)["features"]) == sorted(ids)
    for data in contents:
        order = classes_in(data)
        for name in ("Tumor", "Gland"):
            assert order.index(name) < order.index(f"{name}: Unsure")
    assert not parts.notes()


def test_what_comes_first_does_not_depend_on_batches(tmp_path: Path) -> None:
    batch = with_classes(UNSURE_FIRST * 20)
    contents = []
    for name, size in (("one", 1000), ("seven", 7), ("single", 1)):
        (tmp_path / name).mkdir()
        written = write(tmp_path / name / "a.geojson", *batch.parts(size), max_part_bytes=9_000).written
        contents.append({path.name: path.read_bytes() for path in written})
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) > 3


def test_what_comes_first_is_bounded_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = with_classes(UNSURE_FIRST * 20)
    held = read(write(tmp_path / "a.geojson", batch).written[0])
    monkeypatch.setattr("wsi_parse.exporters.geojson._MAX_HELD_BYTES", 100)
    assert read(write(tmp_path / "b.geojson", batch).written[0]) == held
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.geojson", "b.geojson"]


def test_a_class_with_unsure_objects_only_is_told(tmp_path: Path) -> None:
    (note,) = write(tmp_path / "a.geojson", with_classes([3, 1, 3])).notes()
    assert note.startswith("a.geojson has objects of a class that is derived from Gland, but none of Gland itself")
    # Of the second part only. QuPath knows the colour of Tumor from its start.
    (note,) = write(tmp_path / "b.geojson", with_classes([2, 3, 1, 3, 3, 3]), max_part_objects=3).notes()
    assert note.startswith("b_02.geojson has")
    assert not write(tmp_path / "c.geojson", with_classes([2, 3, 1])).notes()


def test_what_is_written_needs_no_repair_of_its_order(tmp_path: Path) -> None:
    written = write(tmp_path / "a.geojson", with_classes(UNSURE_FIRST)).written
    assert not check_file(written[0]).counts
    alone = write(tmp_path / "b.geojson", with_classes([3, 3])).written
    assert check_file(alone[0]).counts == {BASE_CLASS: 1}


def test_a_class_that_qupath_refuses_is_not_written(tmp_path: Path) -> None:
    classes = ClassTable.of([replace(CLASSES.prompts[0], class_name="A::B")])
    with pytest.raises(UsageError, match="'A::B'"):
        GeoJsonExporter(tmp_path / "a.geojson", ExportContext(classes, (0, 0), PROVENANCE))
