"""The memory of an exporter does not grow with the number of objects, nor that of reading them back."""

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from tests.exporters.made import CLASSES, cells, context
from wsi_parse.exporters.parquet_source import ParquetSource
from wsi_parse.registry import EXPORTERS

BATCH = 2_000


@pytest.mark.parametrize("count", [60_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["csv", "geojson", "parquet"])
def test_memory_is_flat(tmp_path: Path, name: str, count: int) -> None:
    batch = cells(BATCH)
    held: list[int] = []
    tracemalloc.start()
    try:
        with EXPORTERS.get(name)(tmp_path / "out", context()) as exporter:
            for _ in range(count // BATCH):
                tracemalloc.reset_peak()
                exporter.write(batch)
                # Arrow's memory is its own; tracemalloc does not see it.
                held.append(tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes())
    finally:
        tracemalloc.stop()
    # Parquet fills a group of 20,000 rows first.
    warm = 2 * 20_000 // BATCH
    assert max(held[warm:]) <= 1.1 * max(held[:warm])


def test_reading_back_holds_one_row_group(tmp_path: Path) -> None:
    batch = cells(BATCH)
    with EXPORTERS.get("parquet")(tmp_path / "out", context()) as exporter:
        for _ in range(120_000 // BATCH):
            exporter.write(batch)
    held: list[int] = []
    tracemalloc.start()
    try:
        found = 0
        for part in ParquetSource(tmp_path / "out", CLASSES).batches():
            found += len(part)
            held.append(tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes())
            tracemalloc.reset_peak()
    finally:
        tracemalloc.stop()
    assert found == 120_000
    assert len(held) == 6
    assert max(held[2:]) <= 1.1 * max(held[:2])
