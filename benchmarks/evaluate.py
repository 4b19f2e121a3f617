"""The evaluate command with a million objects in each file: `python -m benchmarks.evaluate [--json] [--count N]`.

A tenth is deleted, a tenth added, a tenth reclassified, and all are moved by up to 2 px, so that the result is known.
Limit: 180 s. Making the files does not count; their size is printed.
"""

import argparse
import json
import resource
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks import limits
from benchmarks.measured import run_measured
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.objects.batch import ObjectBatch
from wsi_parse.objects.class_table import ClassTable
from wsi_parse.prompts import Prompt
from wsi_parse.qupath.snapping import GRID_PX

LIMIT_S = 180
PITCH_PX, VERTICES, BATCH = 28, 20, 50_000
PROMPTS = (Prompt.parse("neoplastic cells"), Prompt.parse("inflammatory cells"))
MPP = 0.25


def outlines(numbers: NDArray[np.int64], moved: NDArray[np.float64]) -> NDArray[np.object_]:
    """Make outlines of about 25 px on a lattice; the shape depends on the number of the lattice point only."""
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    # A few thousand shapes repeat.
    shapes = np.random.default_rng(0).uniform(0.85, 1.1, (4096, VERTICES)) * 12
    radius = shapes[numbers % 4096]
    row, column = np.divmod(numbers, 1200)
    middle = np.stack([column, row], axis=1) * PITCH_PX + PITCH_PX + moved
    points = middle[:, None] + np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
    return np.asarray(shapely.polygons(np.rint(points / GRID_PX) * GRID_PX))


def write(path: Path, numbers: NDArray[np.int64], other_class: NDArray[np.bool_], *, moved: bool) -> None:
    """Write a file of objects at some points of the lattice."""
    random = np.random.default_rng(1)
    provenance = {"frame": "qupath", "offset_level0_px": [0, 0], "slide": {"mpp_x_um": MPP, "mpp_y_um": MPP}}
    with GeoJsonExporter(path, ExportContext(ClassTable.of(PROMPTS), (0, 0), provenance)) as exporter:
        for start in range(0, len(numbers), BATCH):
            these = numbers[start : start + BATCH]
            classes = 2 * ((these % 2 == 1) ^ other_class[start : start + BATCH]).astype(np.int16)
            ids = np.array([str(uuid.UUID(int=number + 1)) for number in these.tolist()], object)
            shift = random.uniform(-2, 2, (len(these), 2)) * moved
            exporter.write(ObjectBatch(outlines(these, shift), classes, ids, {}))


def make(count: int, folder: Path) -> dict[str, int]:
    """Write both files; return the known counts."""
    tenth = count // 10
    numbers = np.arange(count)
    order = np.random.default_rng(2).permutation(count)
    write(folder / "truth.geojson", numbers, np.zeros(count, bool), moved=False)
    stay = np.sort(order[tenth:])
    other = np.isin(stay, order[tenth : 2 * tenth])
    found = np.concatenate([stay, count + np.arange(tenth)])
    write(folder / "pred.geojson", found, np.concatenate([other, np.zeros(tenth, bool)]), moved=True)
    return {"matched": count - tenth, "missed": tenth, "extra": tenth, "other class": tenth}


def cpu_seconds() -> float:
    """Return the processor seconds of commands that have ended; they do not depend on other load."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(count: int, folder: Path) -> dict[str, Any]:
    """Make the files, compare them, and check the counts."""
    known = make(count, folder)
    command = [sys.executable, "-m", "wsi_parse.cli.main", "evaluate", "--truth", str(folder / "truth.geojson")]
    command += ["--pred", str(folder / "pred.geojson"), "--out-json", str(folder / "result.json")]
    before = cpu_seconds()
    measured = run_measured(command)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    table = {(row["truth"], row["pred"]): row["count"] for row in result["confusion"]}
    counts = {
        "matched": result["all"]["matched"],
        "missed": sum(count for (_, pred), count in table.items() if pred == "(missed)"),
        "extra": sum(count for (truth, _), count in table.items() if truth == "(extra)"),
        "other class": table["Tumor", "Immune cells"] + table["Immune cells", "Tumor"],
    }
    return {
        "objects": count,
        "seconds": round(measured.seconds, 1),
        "cpu_seconds": round(cpu_seconds() - before, 1),
        "peak_mb": round(measured.peak_mb),
        "files_mb": round(sum(path.stat().st_size for path in folder.glob("*.geojson")) / 1e6),
        "counts_correct": counts == known,
        "f1": round(result["all"]["f1"], 4),
        "pq": round(result["all"]["pq"], 4),
        "dice": round(result["all"]["dice"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(chosen.count, Path(folder))
    print(json.dumps(row) if chosen.json else "  ".join(f"{name} {value:,}" for name, value in row.items()))
    print(f"limit {LIMIT_S} s; counts are correct: {row['counts_correct']}", file=sys.stderr)
    limits.end(kept=row["seconds"] <= LIMIT_S and row["counts_correct"])


if __name__ == "__main__":
    main()
