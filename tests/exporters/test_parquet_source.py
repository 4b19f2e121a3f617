"""objects.parquet read back: every format that is written of it is the one that the run wrote, byte for byte."""

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters.made import CLASSES, PROMPTS, PROVENANCE, cells, outlines
from tests.exporters.maps import SLIDE
from wsi_parse.errors import StoreError
from wsi_parse.exporters import parquet, parquet_source
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.geometry import Box
from wsi_parse.objects.batch import ObjectBatch, in_one_column_order
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.registry import EXPORTERS

COLUMNS = ("area_um2", "probability_mean", "class_probability", 'of "dots"')
#: Name of a file and the format that writes it.
FORMATS = {"a.geojson": "geojson", "b.geojson.gz": "geojson", "c.parquet": "parquet", "d.csv": "csv"}


@st.composite
def batches(draw: st.DrawFn) -> ObjectBatch:
    """Cells with nuclei, cells without, or regions; sure and unsure; some measurements, some of them missing."""
    shapes = fit_for_qupath(draw(outlines()))
    shapes = shapely.set_precision(shapes[~shapely.is_missing(shapes)], 0.0, mode="pointwise")
    count = len(shapes)
    columns = draw(st.lists(st.sampled_from(COLUMNS), unique=True))
    values = st.lists(st.floats(width=32), min_size=count, max_size=count)
    return ObjectBatch(
        shapes,
        np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), np.int16),
        np.array([str(draw(st.uuids())) for _ in shapes], object),
        {name: np.array(draw(values), np.float32) for name in columns},
        shapes[::-1].copy() if draw(st.booleans()) else None,
    )


def context_of(offset: tuple[int, int], classes: ClassTable = CLASSES) -> ExportContext:
    provenance = {**PROVENANCE, "slide": SLIDE}
    return ExportContext(classes, offset, provenance, max_part_bytes=2_000, max_part_objects=5)


def write_all(folder: Path, context: ExportContext, stream: Iterable[ObjectBatch], names: Iterable[str]) -> None:
    folder.mkdir()
    exporters = [EXPORTERS.get(FORMATS[name])(folder / name, context) for name in names]
    for exporter in exporters:
        exporter.__enter__()
    for batch in stream:
        for exporter in exporters:
            exporter.write(batch)
    for exporter in exporters:
        exporter.__exit__(None, None, None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stored(path: Path, stream: Sequence[ObjectBatch], offset: tuple[int, int] = (0, 0)) -> Path:
    with ParquetExporter(path, context_of(offset)) as exporter:
        for batch in stream:
            exporter.write(batch)
    return path


def same(one: ObjectBatch, other: ObjectBatch) -> bool:
    def nuclei(batch: ObjectBatch) -> list[bytes | None]:
        return [None] * len(batch) if batch.nuclei is None else list(shapely.to_wkb(batch.nuclei))

    return (
        list(shapely.to_wkb(one.geometry)) == list(shapely.to_wkb(other.geometry))
        and one.class_index.tolist() == other.class_index.tolist()
        and one.ids.tolist() == other.ids.tolist()
        and nuclei(one) == nuclei(other)
        and one.measurements.keys() == other.measurements.keys()
        and all(np.array_equal(one.measurements[name], other.measurements[name], True) for name in one.measurements)
    )


@settings(max_examples=60)
@given(st.lists(batches(), max_size=4), st.sampled_from([(0, 0), (700, 33)]))
def test_every_format_written_of_it_is_the_one_of_the_run(stream: list[ObjectBatch], offset: tuple[int, int]) -> None:
    stream = list(in_one_column_order(stream))
    with tempfile.TemporaryDirectory() as temporary, mock.patch.object(parquet, "ROWS_PER_GROUP", 3):
        folder = Path(temporary)
        write_all(folder / "run", context_of(offset), stream, FORMATS)
        source = ParquetSource(folder / "run" / "c.parquet", CLASSES)
        assert source.offset_level0 == offset
        with mock.patch.object(parquet_source, "_ROWS_AT_ONCE", 2):
            write_all(folder / "again", context_of(offset), source.batches(), FORMATS)
        assert contents(folder / "again") == contents(folder / "run")


def test_objects_come_back_exactly(tmp_path: Path) -> None:
    whole = cells(60)
    whole = replace(whole, class_index=(np.arange(60) % 6).astype(np.int16))
    with_nuclei = replace(whole.part(20, 40), nuclei=shapely.buffer(whole.geometry[20:40], 0))
    stream = [whole.part(0, 20), with_nuclei, whole.part(40, 60)]
    found = list(ParquetSource(stored(tmp_path / "a.parquet", stream, (90, 7)), CLASSES).batches())
    assert len(found) == 3
    assert all(map(same, found, stream))
    assert {one.measurements["area_um2"].dtype for one in found} == {np.dtype(np.float32)}


def test_classes_are_those_of_the_table_not_of_the_file(tmp_path: Path) -> None:
    whole = replace(cells(60), class_index=(np.arange(60) % 6).astype(np.int16))
    path = stored(tmp_path / "a.parquet", [whole])
    # Another order, another name, another colour.
    renamed = [
        replace(prompt, class_name=f"New {number}", colour=(number, 2, 3)) for number, prompt in enumerate(PROMPTS)
    ]
    table = ClassTable.of(renamed[::-1])
    batch = next(ParquetSource(path, table).batches())
    for index, before in zip(batch.class_index.tolist(), whole.class_index.tolist(), strict=True):
        row, old = table.rows[index], CLASSES.rows[before]
        assert (row.prompt.name, row.unsure) == (old.prompt.name, old.unsure)
    write_all(tmp_path / "new", context_of((0, 0), table), ParquetSource(path, table).batches(), ["a.geojson"])
    index = json.loads((tmp_path / "new" / "annotations_index.json").read_text())
    names = {
        feature["properties"]["classification"]["name"]
        for part in index["parts"]
        for feature in json.loads((tmp_path / "new" / part["file"]).read_text())["features"]
    }
    assert names == {row.name for row in table.rows}


@pytest.mark.parametrize("offset", [(0, 0), (500, 900)])
def test_a_box_reads_only_the_row_groups_that_meet_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: tuple[int, int]
) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 50)
    whole = cells(1000)
    order = np.argsort(shapely.bounds(whole.geometry)[:, 1])
    whole = ObjectBatch(
        whole.geometry[order],
        whole.class_index[order],
        whole.ids[order],
        {name: values[order] for name, values in whole.measurements.items()},
    )
    source = ParquetSource(stored(tmp_path / "a.parquet", [whole], offset), CLASSES)
    assert source.steps == 20
    read: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def counted(file: pq.ParquetFile, *more: object, row_groups: list[int], **others: object) -> object:
        read.extend(row_groups)
        return iter_batches(file, *more, row_groups=row_groups, **others)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    box = Box(1000, 2000, 300, 250)
    low_x, low_y, high_x, high_y = shapely.bounds(whole.geometry).T
    expected = (high_x > box.x) & (low_x < box.right) & (high_y > box.y) & (low_y < box.bottom)
    ids = list(itertools.chain.from_iterable(batch.ids.tolist() for batch in source.batches_in(box)))
    assert ids == whole.ids[expected].tolist()
    assert len(ids) > 1
    bottom_of_group, top_of_group = high_y.reshape(20, 50).max(axis=1), low_y.reshape(20, 50).min(axis=1)
    assert read == np.flatnonzero((bottom_of_group > box.y) & (top_of_group < box.bottom)).tolist()
    assert len(read) < 4
    assert not list(source.batches_in(Box(50_000, 50_000, 10, 10)))
    assert len(read) < 4


class TestDamaged:
    def broken(self, path: Path) -> str:
        with pytest.raises(StoreError) as caught:
            list(ParquetSource(path, CLASSES).batches())
        assert str(path.parent) not in str(caught.value)
        assert caught.value.remedy
        return str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        assert "there is no such file" in self.broken(tmp_path / "a.parquet")

    def test_empty_or_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").touch()
        assert "not a Parquet file" in self.broken(tmp_path / "a.parquet")
        (tmp_path / "a.parquet").write_text("id,prompt\n" * 100)
        assert "not a Parquet file" in self.broken(tmp_path / "a.parquet")

    def test_torn(self, tmp_path: Path) -> None:
        path = stored(tmp_path / "a.parquet", [cells(200)])
        data = path.read_bytes()
        for size in (len(data) - 1, len(data) // 2, 4):
            path.write_bytes(data[:size])
            assert "damaged" in self.broken(path)

    def test_a_flipped_bit_is_never_another_object(self, tmp_path: Path) -> None:
        batch = cells(300)
        path = stored(tmp_path / "a.parquet", [batch])
        data = path.read_bytes()
        for place in np.linspace(4, len(data) - 9, 60).astype(int):
            path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
            try:
                found = list(ParquetSource(path, CLASSES).batches())
            except StoreError:
                continue
            assert len(found) == 1
            assert same(found[0], batch), place

    @pytest.mark.parametrize("name", ["unsure", "id", "geometry", "bbox"])
    def test_a_column_is_missing(self, tmp_path: Path, name: str) -> None:
        table = pq.read_table(stored(tmp_path / "a.parquet", [cells(5)]))
        pq.write_table(table.drop_columns([name]), tmp_path / "a.parquet")
        assert f"it has no column {name} " in self.broken(tmp_path / "a.parquet")

    def test_a_column_of_somebody_else(self, tmp_path: Path) -> None:
        table = pq.read_table(stored(tmp_path / "a.parquet", [cells(5)]))
        table = table.append_column("remark", pa.array(["x"] * 5))
        pq.write_table(table, tmp_path / "a.parquet")
        assert "its column remark was not written by wsi-parse" in self.broken(tmp_path / "a.parquet")

    def test_no_offset(self, tmp_path: Path) -> None:
        table = pq.read_table(stored(tmp_path / "a.parquet", [cells(5)]))
        for found in ({}, {"wsi_parse": "{}"}, {"wsi_parse": "no"}, {"wsi_parse": '{"offset_level0_px": [1.5, 2]}'}):
            pq.write_table(table.replace_schema_metadata(found), tmp_path / "a.parquet")
            assert "which offset" in self.broken(tmp_path / "a.parquet")

    def test_a_prompt_of_another_run(self, tmp_path: Path) -> None:
        path = stored(tmp_path / "a.parquet", [cells(50)])
        with pytest.raises(StoreError, match="neoplastic cells"):
            list(ParquetSource(path, ClassTable.of(PROMPTS[1:])).batches())

    def test_an_object_without_id(self, tmp_path: Path) -> None:
        batch = cells(5)
        batch.ids[2] = None
        assert "without id" in self.broken(stored(tmp_path / "a.parquet", [batch]))
