"""Reading, checking and repairing 1,000,000 polygons: `python -m benchmarks.annotations [--json] [COUNT]`.

Limits at 1,000,000 (of about 900 bytes and 30 vertices each): read in 60 s, with one feature per line or all on one
line, with less than 400 MB besides the polygons themselves; checked in 120 s, repaired (every class without its
colour) in 240 s, both in less than 400 MB. The limits are CPU seconds of one core, which depend less on other load.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import limits
from benchmarks.exporters import CLASSES, batches
from benchmarks.measured import run_measured
from wsi_parse.annotations import read_annotations
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.qupath.check import check_file
from wsi_parse.qupath.repair import repair

COUNT = 1_000_000
SECONDS = {"read": 60, "check": 120, "repair": 240}
MB = 400


def write(count: int, folder: Path) -> tuple[Path, Path, Path]:
    """Write a file with the exporter, the same on one line, and one in which each feature breaks a rule."""
    lines, line, broken = (folder / f"{name}.geojson" for name in ("lines", "one-line", "broken"))
    with GeoJsonExporter(lines, ExportContext(CLASSES, (0, 0), {"wsi_parse": "benchmark"})) as exporter:
        for batch in batches(count):
            exporter.write(batch)
    with lines.open("rb") as source, line.open("wb") as one, broken.open("wb") as other:
        for text in source:
            one.write(text.rstrip(b"\n"))
            other.write(text.replace(b'"color"', b'"colour"'))
    return lines, line, broken


def work(name: str, path: Path) -> dict[str, Any]:
    """Do one kind of work on a file in this process."""
    before = psutil.Process().memory_info().rss
    started, processed = time.perf_counter(), time.process_time()
    kept = 0
    if name == "read":
        found = read_annotations(path)
        features, is_correct = len(found), not found.skipped
        # The polygons are the result; the rest of the peak is the reader's.
        kept = psutil.Process().memory_info().rss - before
    elif name == "check":
        report = check_file(path)
        features, is_correct = report.features, report.accepted
    else:
        result = repair(path, path.with_name("fixed.geojson"))
        features, is_correct = result.features, not result.dropped and sum(result.counts.values()) == result.features
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_s": round(time.process_time() - processed, 1),
        "features": features,
        "correct": is_correct,
        "kept_mb": round(kept / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=COUNT)
    parser.add_argument("--only", nargs=2, help="one kind of work and a file, in this process")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(work(chosen.only[0], Path(chosen.only[1]))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lines, line, broken = write(chosen.count, Path(folder))
        for name, path in (("read", lines), ("read", line), ("check", lines), ("check", line), ("repair", broken)):
            measured = run_measured([sys.executable, "-m", "benchmarks.annotations", "--only", name, str(path)])
            row: dict[str, Any] = {"work": name, "file": path.stem, "file_mb": round(path.stat().st_size / 1e6)}
            row |= json.loads(measured.stdout) | {"peak_mb": round(measured.peak_mb)}
            row["within"] = (
                row["correct"]
                and row["features"] == chosen.count
                and row["cpu_s"] < SECONDS[name]
                and row["peak_mb"] - row["kept_mb"] < MB
            )
            rows.append(row)
            print(
                json.dumps(row) if chosen.json else "  ".join(f"{key} {value}" for key, value in row.items()),
                flush=True,
            )
    print(f"limits {SECONDS} CPU s, {MB} MB besides the result", file=sys.stderr)
    limits.end(kept=all(row["within"] for row in rows))


if __name__ == "__main__":
    main()
