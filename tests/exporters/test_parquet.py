"""GeoParquet: the same objects as the GeoJSON, readable without this package."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from tests.exporters.made import CLASSES, PROVENANCE, batch_of, cells, context, shapes_of, written
from wsi_parse.exporters import parquet
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.objects.batch import ObjectBatch


def written_table(path: Path, *batches: ObjectBatch, offset: tuple[int, int] = (0, 0)) -> pa.Table:
    with ParquetExporter(path, context(offset)) as exporter:
        for batch in batches:
            exporter.write(batch)
    return pq.read_table(path)


def test_rows_are_the_objects(tmp_path: Path) -> None:
    batch = cells(200)
    table = written_table(tmp_path / "a.parquet", batch)
    assert (shapely.from_wkb(table["geometry"].to_pylist()) == batch.geometry).all()
    assert table["id"].to_pylist() == batch.ids.tolist()
    assert table["class_name"].to_pylist() == [CLASSES.rows[index].name for index in batch.class_index]
    assert table["kind"].to_pylist() == [CLASSES.rows[index].kind for index in batch.class_index]
    assert table["prompt"].to_pylist() == [CLASSES.rows[index].prompt.name for index in batch.class_index]
    centroid = np.stack([table["centroid_x_level0"], table["centroid_y_level0"]], axis=1)
    assert np.array_equal(centroid, shapely.get_coordinates(shapely.centroid(batch.geometry)))
    for name, values in batch.measurements.items():
        column = table[name].to_numpy().astype(float)
        assert table[name].type == pa.float32()
        assert np.allclose(column, values, rtol=1e-6, equal_nan=True)
    assert table["probability_mean"].null_count == np.isnan(batch.measurements["probability_mean"]).sum()


def test_same_frame_as_the_geojson(tmp_path: Path) -> None:
    batch = cells(30)
    table = written_table(tmp_path / "a.parquet", batch, offset=(300, 20))
    collection = json.loads(written(tmp_path / "a.geojson", batch, offset=(300, 20)))
    assert (shapely.from_wkb(table["geometry"].to_pylist()) == shapes_of(collection)).all()
    provenance = json.loads(table.schema.metadata[b"wsi_parse"])
    assert provenance["offset_level0_px"] == [300, 20]
    assert provenance.items() >= PROVENANCE.items()
    # A column's name carries its frame: these are where a slide reader finds the object.
    assert table["centroid_x_level0"][0].as_py() == batch.geometry[0].centroid.x


def test_metadata_is_geoparquet(tmp_path: Path) -> None:
    shapes = np.array(
        [shapely.box(0, 0, 4, 4), shapely.MultiPolygon([shapely.box(8, 8, 9, 9), shapely.box(20, 0, 30, 5)])]
    )
    written_table(tmp_path / "a.parquet", batch_of(shapes))
    geo = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"geo"])
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon", "MultiPolygon"],
                "crs": None,
                "edges": "planar",
                "bbox": [0, 0, 30, 9],
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }


def test_geopandas_opens_it(tmp_path: Path) -> None:
    ring = shapely.box(0, 0, 40, 30).difference(shapely.box(5, 5, 10, 10))
    several = shapely.MultiPolygon([shapely.box(8, 8, 9, 9), shapely.box(200_000.25, 0, 200_030.5, 5)])
    batch = batch_of(np.array([ring, several], object))
    written_table(tmp_path / "a.parquet", batch)
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs is None
    assert frame.geometry.geom_equals_exact(geopandas.GeoSeries(batch.geometry), 0).all()
    assert frame.area.tolist() == [40 * 30 - 25, 1 + 30.25 * 5]
    assert frame["id"].tolist() == batch.ids.tolist()
    # Its own writer's rules for the metadata, for all columns.
    frame.to_parquet(tmp_path / "again.parquet")
    geo = [json.loads(pq.read_metadata(tmp_path / name).metadata[b"geo"]) for name in ("a.parquet", "again.parquet")]
    ours, theirs = (one["columns"]["geometry"] for one in geo)
    assert set(ours.pop("geometry_types")) == set(theirs.pop("geometry_types"))
    assert ours.items() >= theirs.items()


def test_nothing_found_is_a_result(tmp_path: Path) -> None:
    table = written_table(tmp_path / "a.parquet", cells(3).part(0, 0))
    assert table.num_rows == 0
    assert "bbox" not in json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]


def test_bytes_and_groups_do_not_depend_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 40)
    batch = cells(100)
    written_table(tmp_path / "a.parquet", batch)
    written_table(tmp_path / "b.parquet", batch.part(0, 1), batch.part(1, 99), batch.part(99, 100))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [40, 40, 20]


@pytest.mark.parametrize("rows", [40, 20_000])
def test_a_measurement_may_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", rows)
    first, last = cells(100), cells(30, seed=1)
    votes = np.linspace(0, 1, 30, dtype=np.float32)
    late = ObjectBatch(last.geometry, last.class_index, last.ids, {"class_probability": votes})
    table = written_table(tmp_path / "a.parquet", first, late, first)
    assert table["class_probability"].to_pylist() == [None] * 100 + votes.tolist() + [None] * 100
    assert table["area_um2"].null_count == 30
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), ParquetExporter(tmp_path / "a.parquet", context()) as exporter:  # noqa: PT012 - the error comes after some work
        exporter.write(cells(10))
        raise error
    assert not list(tmp_path.iterdir())
