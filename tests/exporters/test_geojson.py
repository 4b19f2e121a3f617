"""GeoJSON: exact, the same bytes each time, whole or not at all, in the frame of QuPath."""

import gzip
import json
from pathlib import Path

import geojson
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import wsi_parse.exporters.areas
import wsi_parse.exporters.geojson
from tests.exporters.made import CLASSES, PROVENANCE, batch_of, cells, context, shapes_of, written
from tests.shared import shared_data_root
from wsi_parse.contours.rings import Rings
from wsi_parse.exporters.areas import TISSUE, write_areas
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter, measurements_text
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.geometry import fit_for_qupath

ANNULUS = shapely.box(100, 100, 140, 140).difference(shapely.box(110, 110, 120, 120.25))
TWO = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), ANNULUS])


def test_what_is_read_back_is_what_was_given(tmp_path: Path) -> None:
    shapes = np.concatenate([cells(50).geometry, [ANNULUS, TWO]])
    batch = batch_of(shapes)
    collection = json.loads(written(tmp_path / "a.geojson", batch))
    assert (shapes_of(collection) == shapes).all()
    for number, feature in enumerate(collection["features"]):
        assert feature["id"] == batch.ids[number]
        assert feature["properties"]["classification"]["name"] == CLASSES.rows[batch.class_index[number]].name
        found = feature["properties"]["measurements"]
        expected = {name: values[number] for name, values in batch.measurements.items() if np.isfinite(values[number])}
        assert found == pytest.approx(expected, rel=1e-4)


def test_the_geojson_package_takes_it(tmp_path: Path) -> None:
    collection = geojson.loads(written(tmp_path / "a.geojson", batch_of(np.array([ANNULUS, TWO]))))
    assert collection.is_valid, collection.errors()
    assert len(collection.features) == 2


def test_the_bounds_are_subtracted(tmp_path: Path) -> None:
    batch = cells(20)
    there = shapes_of(json.loads(written(tmp_path / "a.geojson", batch, offset=(700, 33))))
    assert np.array_equal(
        shapely.get_coordinates(there), shapely.get_coordinates(batch.geometry) - np.array([700.0, 33.0])
    )
    assert (shapely.get_coordinates(there) < 0).any(), "also left of the bounds"


def test_provenance_comes_first_and_is_whole(tmp_path: Path) -> None:
    text = written(tmp_path / "a.geojson", cells(3))
    assert json.loads(text)["wsi_parse"] == PROVENANCE
    assert text.index(b'"wsi_parse"') < text.index(b'"features"')
    assert str(tmp_path).encode() not in text


def test_the_notice_cannot_be_left_out(tmp_path: Path) -> None:
    with GeoJsonExporter(tmp_path / "a.geojson", ExportContext(CLASSES, (0, 0), {})):
        pass
    assert "research use only" in json.loads((tmp_path / "a.geojson").read_bytes())["wsi_parse"]["notice"]


def test_nothing_found_is_a_result(tmp_path: Path) -> None:
    assert json.loads(written(tmp_path / "a.geojson"))["features"] == []
    assert json.loads(written(tmp_path / "b.geojson", cells(3).part(0, 0)))["features"] == []


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_bytes_depend_on_the_objects_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    batch = cells(100)
    whole = written(tmp_path / name, batch)
    assert whole == written(
        tmp_path / "elsewhere" / f"other-{name}", batch.part(0, 1), batch.part(1, 70), batch.part(70, 100)
    )


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_an_error_leaves_nothing(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    with pytest.raises(error), GeoJsonExporter(tmp_path / name, context()) as exporter:  # noqa: PT012 - the error comes after some work
        exporter.write(cells(10))
        raise error
    assert not list(tmp_path.iterdir())


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    before = written(tmp_path / "a.geojson", cells(5))
    with pytest.raises(RuntimeError), GeoJsonExporter(tmp_path / "a.geojson", context()) as exporter:  # noqa: PT012 - the error comes after some work
        exporter.write(cells(10))
        raise RuntimeError
    assert (tmp_path / "a.geojson").read_bytes() == before


def test_a_failing_end_leaves_nothing(tmp_path: Path) -> None:
    class Full(GeoJsonExporter):
        def _finish(self) -> None:
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"), Full(tmp_path / "a.geojson", context()) as exporter:
        exporter.write(cells(10))
    assert not list(tmp_path.iterdir())


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_measurements_keep_five_digits(values: list[float]) -> None:
    column = np.array(values)
    texts = measurements_text({'a "um"': column, "b": -column}, len(values)).to_pylist()
    for value, text in zip(values, texts, strict=True):
        found = json.loads(f"{{{text}}}")
        assert found == (pytest.approx({'a "um"': value, "b": -value}, rel=1e-4) if np.isfinite(value) else {})


def test_measurements_are_short() -> None:
    assert measurements_text({"a": np.array([123.456789, 0.1, 0.0, 1e6])}, 4).to_pylist() == [
        '"a":123.46',
        '"a":0.1',
        '"a":0',
        '"a":1000000',
    ]


def test_tissue_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "tissue.geojson"
    write_areas(path, [np.array([ANNULUS, TWO])], TISSUE, context((10, 0)))
    collection = json.loads(path.read_bytes())
    assert {feature["properties"]["classification"]["name"] for feature in collection["features"]} == {"Tissue"}
    for feature in collection["features"]:
        assert feature["properties"]["isLocked"] is True
        assert feature["properties"]["objectType"] == "annotation"
    assert shapes_of(collection)[0].bounds == (90, 100, 130, 140)
    first = path.read_bytes()
    write_areas(path, [np.array([ANNULUS, TWO])], TISSUE, context((10, 0)))
    assert path.read_bytes() == first
    write_areas(path, [np.empty(0, object)], TISSUE, context())
    assert json.loads(path.read_bytes())["features"] == []


@pytest.mark.parametrize("rings_at_once", [1, 3, 100])
def test_an_area_as_rings_is_written_as_the_polygon_is(
    tmp_path: Path, rings_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same id and bytes, beside areas that are polygons, and the size is the one of the file."""
    holes = [shapely.box(x, 10, x + 3, 13.25).exterior for x in range(210, 290, 10)]
    sieve = shapely.Polygon(shapely.box(200, 0, 300, 20).exterior, holes)
    rings = Rings.of_shapes(np.array([sieve], object))
    monkeypatch.setattr(wsi_parse.exporters.areas, "_RINGS_AT_ONCE", rings_at_once)
    monkeypatch.setattr(wsi_parse.exporters.geojson, "_RINGS_AT_ONCE", rings_at_once)
    known, found = tmp_path / "known.geojson", tmp_path / "found.geojson"
    for some in ([], [np.array([ANNULUS, TWO])]):
        write_areas(known, [np.array([sieve]), *some, np.array([sieve])], TISSUE, context((10, 0)))
        write_areas(found, [rings, *some, rings], TISSUE, context((10, 0)))
        assert found.read_bytes() == known.read_bytes()
    with GeoJsonExporter(found, context()) as exporter:
        exporter.write_polygon(rings, "a", 0)
        exporter.write_polygon(rings, "b", 0)
    assert exporter.size == found.stat().st_size


@pytest.mark.parametrize("name", ["primary_roi_001", "primary_roi_004", "metastatic_roi_001"])
def test_real_exports_of_qupath_go_round(tmp_path: Path, name: str) -> None:
    source = shared_data_root() / "annotations" / f"training_set_{name}_nuclei.geojson"
    features = json.loads(source.read_bytes())["features"]
    classes = [feature["properties"]["classification"] for feature in features]
    names = sorted({found["name"] for found in classes})
    colours = {found["name"]: tuple(found["color"]) for found in classes}
    prompts = tuple(Prompt(text, text, "cell", text, colours[text], known=False) for text in names)
    table = ClassTable.of(prompts)
    truth = shapes_of({"features": features})
    batch = ObjectBatch(
        fit_for_qupath(truth),
        np.array([table.index(found["name"]) for found in classes], np.int16),
        np.array([feature["id"] for feature in features], object),
        {},
    )
    with GeoJsonExporter(tmp_path / "a.geojson.gz", ExportContext(table, (0, 0), PROVENANCE)) as exporter:
        exporter.write(batch)
    back = json.loads(gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()))
    assert [feature["id"] for feature in back["features"]] == [feature["id"] for feature in features]
    assert [feature["properties"]["classification"] for feature in back["features"]] == classes
    area, true_area = shapely.area(shapes_of(back)), shapely.area(truth)
    assert area.sum() == pytest.approx(true_area.sum(), rel=1e-4)
    # QuPath's hundredths come to the quarter pixel; whole pixels stay as they are.
    whole = [not (shapely.get_coordinates(shape) % 1).any() for shape in truth]
    assert np.array_equal(area[whole], true_area[whole])
    assert area == pytest.approx(true_area, rel=2e-3)
