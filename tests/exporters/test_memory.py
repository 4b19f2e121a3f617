"""The memory of an exporter does not grow with the number of objects."""

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from tests.exporters.made import cells, context
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
