"""Objects per second and memory of exporters at two sizes: `python -m benchmarks.exporters [--json] [COUNT ...]`."""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.measured import run_measured
from wsi_parse.exporters.base import ExportContext
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.geometry import fit_for_qupath
from wsi_parse.registry import EXPORTERS

NAMES = ("annotations.geojson", "annotations.geojson.gz", "objects.parquet", "objects.csv")
BATCH = 500
VERTICES = 30
COLUMNS = (
    "area_um2",
    "perimeter_um",
    "circularity",
    "solidity",
    "major_axis_um",
    "minor_axis_um",
    "probability_mean",
    "probability_max",
)
PROMPTS = (Prompt.parse("neoplastic cells"), Prompt.parse("inflammatory cells"))
CLASSES = ClassTable.of(PROMPTS)


def batches(count: int) -> Iterator[ObjectBatch]:
    """Make `count` cells of about 30 vertices and 8 measurements, chunk by chunk over a slide of 100,000 px.

    A few hundred shapes repeat at other positions, so that making them takes little time.
    """
    random = np.random.default_rng(0)
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    radius = random.uniform(10, 20, (BATCH, 1)) * random.uniform(0.85, 1.15, (BATCH, VERTICES))
    rings = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1) + random.uniform(20, 2028, (BATCH, 1, 2))
    shapes = fit_for_qupath(shapely.polygons(rings))
    points = shapely.get_coordinates(shapes)
    for start in range(0, count, BATCH):
        row, column = divmod(start // BATCH, 48)
        size = min(BATCH, count - start)
        numbers = random.integers(0, 2**32, (size, 4), np.uint32)
        yield ObjectBatch(
            shapely.set_coordinates(shapes.copy(), points + np.array([column * 2048, row * 2048]))[:size],
            2 * random.integers(0, len(PROMPTS), size).astype(np.int16),
            np.array(
                [
                    f"{a:08x}-{b >> 16:04x}-8{b & 0xFFF:03x}-8{c >> 20:03x}-{c & 0xFFFF:04x}{d:08x}"
                    for a, b, c, d in numbers.tolist()
                ],
                object,
            ),
            {name: random.uniform(0, 200, size).astype(np.float32) for name in COLUMNS},
        )


def write(name: str, count: int, folder: Path) -> dict[str, Any]:
    """Write one file; only the seconds inside the exporter count."""
    context = ExportContext(CLASSES, (0, 0), {"wsi_parse": "benchmark"})
    kind = EXPORTERS.get(Path(name).suffix.removeprefix(".").replace("gz", "geojson"))
    seconds = 0.0
    started = time.perf_counter()
    with kind(folder / name, context) as exporter:
        seconds += time.perf_counter() - started
        for batch in batches(count):
            started = time.perf_counter()
            exporter.write(batch)
            seconds += time.perf_counter() - started
        started = time.perf_counter()
    seconds += time.perf_counter() - started
    size = sum(path.stat().st_size for path in exporter.written)
    return {
        "file": name,
        "objects": count,
        "seconds": round(seconds, 2),
        "objects_per_second": round(count / seconds),
        "bytes_per_object": round(size / count, 1),
        "outputs_sha256": hashlib.sha256(b"".join(path.read_bytes() for path in exporter.written)).hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[20_000, 200_000])
    parser.add_argument("--only", choices=NAMES, help="write one file in this process, without measuring memory")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.only:
            print(json.dumps(write(chosen.only, chosen.counts[0], Path(folder))))
            return
    rows = []
    for name in NAMES:
        for count in chosen.counts:
            # One process each, so that the peak of one does not hide that of the next.
            command = [sys.executable, "-m", "benchmarks.exporters", "--only", name, str(count)]
            measured = run_measured(command)
            rows.append({**json.loads(measured.stdout), "peak_mb": round(measured.peak_mb)})
    if chosen.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['file']:<24} {row['objects']:>9,} objects  {row['objects_per_second']:>8,} per second  "
            f"{row['bytes_per_object']:>6,.0f} bytes each  peak {row['peak_mb']:,} MB"
        )


if __name__ == "__main__":
    main()
