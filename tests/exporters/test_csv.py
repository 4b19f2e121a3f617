"""CSV: every object in a row, numbers that stay numbers, texts that no spreadsheet runs."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import shapely

from tests.exporters.made import CLASSES, PROVENANCE, cells, context
from wsi_parse.exporters import csv as exporter_module
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.csv import COLUMNS, CsvExporter
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.text import RESEARCH_ONLY


def written(path: Path, batches: Sequence[ObjectBatch], classes: ClassTable = CLASSES) -> bytes:
    with CsvExporter(path, ExportContext(classes, (300, 20), PROVENANCE)) as exporter:
        for batch in batches:
            exporter.write(batch)
    return path.read_bytes()


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def test_rows_are_the_objects_of_the_parquet(tmp_path: Path) -> None:
    batch = cells(200)
    batch = replace(batch, class_index=batch.class_index + (np.arange(200) % 5 == 0).astype(np.int16))
    written(tmp_path / "a.csv", [batch])
    with ParquetExporter(tmp_path / "a.parquet", context((300, 20))) as exporter:
        exporter.write(batch)
    table = pq.read_table(tmp_path / "a.parquet").to_pandas()
    found = pandas.read_csv(tmp_path / "a.csv")
    assert list(found) == [*COLUMNS, "area_um2", "probability_mean", RESEARCH_ONLY]
    for name in ("id", "prompt", "class_name", "unsure", "kind"):
        assert found[name].tolist() == table[name].tolist(), name
    assert found["unsure"].dtype == bool
    for name in ("area_um2", "probability_mean"):
        assert np.array_equal(found[name].astype(np.float32), table[name], equal_nan=True)
    centroid = shapely.get_coordinates(shapely.centroid(batch.geometry))
    assert np.abs(found[["centroid_x_level0", "centroid_y_level0"]].to_numpy() - centroid).max() <= 0.0005 + 1e-9
    assert found[RESEARCH_ONLY].isna().all()


def test_it_is_rfc_4180(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", [cells(50)])
    assert data.endswith(b"\r\n")
    lines = data.split(b"\r\n")[:-1]
    assert len(lines) == 51
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert {len(row) for row in csv.reader(io.StringIO(data.decode(), newline=""), strict=True)} == {len(COLUMNS) + 3}
    assert not data.startswith(b"\xef\xbb\xbf")


HOSTILE = (
    "=1+1",
    "+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "  =cmd|' /C calc'!A0",
    'a "b", c',
    "two\r\nlines",
    "\u00e9\u4e2d",
    "a,b",
)


def test_no_text_is_run_as_a_formula(tmp_path: Path) -> None:
    prompts = [Prompt(text, text, "cell", text, (1, 2, 3), known=False) for text in HOSTILE]
    batch = replace(cells(len(HOSTILE)), class_index=2 * np.arange(len(HOSTILE), dtype=np.int16))
    batch = replace(batch, measurements={'=of "x", y': np.full(len(HOSTILE), -1.5, np.float32)})
    rows = rows_of(written(tmp_path / "a.csv", [batch], ClassTable.of(prompts)))
    assert len(rows) == len(HOSTILE)
    for row, text in zip(rows, HOSTILE, strict=True):
        for cell in (row["prompt"], row["class_name"]):
            assert cell.lstrip()[0] not in "=+-@"
            # Nothing else is changed, but for what breaks a line or a column.
            assert cell.removeprefix("'") == text.replace("\r\n", " ").replace("\t", " ")
        # A negative number is a number.
        assert row['\'=of "x", y'] == "-1.5"


def test_nothing_found_is_a_result_with_the_notice(tmp_path: Path) -> None:
    expected = ",".join([*COLUMNS, f'"{RESEARCH_ONLY}"']).encode() + b"\r\n"
    assert written(tmp_path / "a.csv", []) == expected
    assert written(tmp_path / "b.csv", [cells(3).part(0, 0)]) == expected


@pytest.mark.parametrize("copied", [1, 7, 1 << 20])
def test_columns_may_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int) -> None:
    monkeypatch.setattr(exporter_module, "_COPIED_AT_ONCE", copied)
    first, last = cells(40), cells(30, seed=1)
    votes, other = np.linspace(0, 1, 30, dtype=np.float32), np.full(30, 7, np.float32)
    late = replace(last, measurements={"class_probability": votes})
    later = replace(last, measurements={"area_um2": other, "x": other, "y": other})
    rows = rows_of(written(tmp_path / "a.csv", [first, late, later, first]))
    assert list(rows[0]) == [*COLUMNS, "area_um2", "probability_mean", "class_probability", "x", "y", RESEARCH_ONLY]
    assert [row["id"] for row in rows] == [one for batch in (first, last, last, first) for one in batch.ids]
    for number, row in enumerate(rows):
        has_votes, has_more = 40 <= number < 70, 70 <= number < 100
        assert (row["class_probability"] != "") == has_votes
        assert (row["x"], row["y"]) == (("7", "7") if has_more else ("", ""))
        assert (row["area_um2"] != "") == (not has_votes)
        assert row[RESEARCH_ONLY] == ""
    assert np.array_equal([np.float32(row["class_probability"]) for row in rows[40:70]], votes)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_bytes_do_not_depend_on_batches(tmp_path: Path) -> None:
    batch = cells(100)
    whole = written(tmp_path / "a.csv", [batch])
    assert whole == written(tmp_path / "b.csv", [batch.part(0, 1), batch.part(1, 99), batch.part(99, 100)])


def test_values_that_are_not_finite_are_empty(tmp_path: Path) -> None:
    values = np.array([1.5, np.nan, np.inf, -np.inf, 0.1, 1e-7, 123456.79], np.float32)
    rows = rows_of(written(tmp_path / "a.csv", [replace(cells(7), measurements={"a": values})]))
    assert [row["a"] for row in rows[:5]] == ["1.5", "", "", "", "0.1"]
    assert np.array_equal([np.float32(row["a"]) for row in rows[5:]], values[5:])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), CsvExporter(tmp_path / "a.csv", context()) as exporter:  # noqa: PT012 - the error comes after some work
        exporter.write(cells(10))
        exporter.write(replace(cells(10), measurements={"b": np.zeros(10, np.float32)}))
        raise error
    assert not list(tmp_path.iterdir())
