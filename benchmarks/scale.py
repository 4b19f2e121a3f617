"""Slides of 20,000 to 100,000 px per side with many cells: `python -m benchmarks.scale [SIDE ...] [--workers N]`.

The cells have one exact hue, which the model finds. There are two runs per size: the whole pipeline, for memory and
objects; and stage after stage, for the seconds of stitching, outlining, measuring and writing alone.

Limits: peak memory (sum of PSS) 2.0 GB, and at the largest size at most 1.3 x that at the smallest; the object stages
under 120 s for 1,000,000 cells on 2 cores; building the graph under 1 ms per tile; F1 >= 0.99; no cell duplicated or
truncated.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import shapely
from distributed import Client, LocalCluster
from numpy.typing import NDArray
from scipy.spatial import KDTree

import benchmarks.scale_model  # noqa: F401 - registers the model
from benchmarks import limits
from benchmarks.measured import Measured, run_measured
from benchmarks.scale_slide import MPP, ScaleSlide, write
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.graph import Indices, remaining_work, run_graph, tasks_of
from wsi_parse.compute.plan import RunPlan
from wsi_parse.compute.scheduled import submit
from wsi_parse.evaluate import f1_score, match_centres
from wsi_parse.progress import Silent
from wsi_parse.run.layout import lay_out
from wsi_parse.run.pipeline import run_slide
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings

LIMIT_MB, LIMIT_GROWTH, LIMIT_SECONDS, LIMIT_GRAPH_MS, LIMIT_F1 = 2000.0, 1.3, 120.0, 1.0, 0.99
_MATCH_UM, _DUPLICATE_UM = 2.0, 3.0
# A cell that a border truncates has less of its area; outlines at 0.5 µm/px keep more than this of a small cell.
_TRUNCATED = 0.75


def settings_of(workers: int) -> RunSettings:
    return RunSettings.load(prompts=("nuclei",), model={"name": "hue"}, compute={"workers": workers})


class Marks(Silent):
    """Records when each stage began; pictures begin when the last chunk is exported."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self._left = 0

    def start(self, stage: str, total: int) -> None:
        """Note the time."""
        self.began.setdefault(stage, time.time())
        self._left = total

    def advance(self, stage: str, steps: int = 1) -> None:
        """Count the exported chunks."""
        self._left -= steps
        if stage == "export" and self._left <= 0:
            self.began.setdefault("pictures", time.time())


def run_whole(slide: Path, out: Path, workers: int) -> None:
    """Run the whole pipeline, and print what it wrote and how long it took."""
    marks = Marks()
    manifest = run_slide(slide, out, settings_of(workers), marks)
    written = int(next(line.split()[1] for line in Path("/proc/self/io").read_text().splitlines() if "wchar" in line))
    report = {"stages": manifest.seconds, "began": marks.began, "count": manifest.counts["nuclei"], "bytes": written}
    print(json.dumps(report))


def run_staged(slide: Path, out: Path, workers: int) -> None:
    """Predict everything, then time the later stages."""
    settings = settings_of(workers)
    prepared = resolve_run(slide, resolve(settings))
    plan = lay_out(prepared, prepared.tissue(), out)
    blocks, chunks = remaining_work(plan)
    nothing: list[list[tuple[int, int]]] = [[] for _ in plan.passes]
    tiles = sum(
        len(item.selection.of_block(block))
        for item, remaining in zip(plan.passes, blocks, strict=True)
        for block in remaining
    )
    graph = seconds_of_graph(plan, blocks, chunks)
    with Cluster(settings.compute, out) as cluster:
        run_graph(cluster.workers(), plan, blocks, nothing, lambda _: None)
        started = time.perf_counter()
        run_graph(cluster.workers(), plan, nothing, chunks, lambda _: None)
        outlined = time.perf_counter()
    manifest = run_slide(slide, out, settings)
    report = {"outline": outlined - started, "write": manifest.seconds["export"], "count": manifest.counts["nuclei"]}
    print(json.dumps(report | {"graph_ms_per_tile": 1000 * graph / tiles}))


def seconds_of_graph(plan: RunPlan, blocks: Indices, chunks: Indices) -> float:
    """Return the seconds for submitting the whole graph of a slide to a scheduler without workers."""
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        started = time.perf_counter()
        futures = submit(client, plan, tasks_of(plan, blocks, chunks, "measured"))
        while len(cluster.scheduler.tasks) < len(futures):
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        client.cancel(futures)
    return seconds


def found_in(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres (N, 2) and areas (N,) of all objects, in pixels, read group by group."""
    file = pyarrow.parquet.ParquetFile(path)
    centres, areas = [], []
    for group in range(file.num_row_groups):
        shapes = shapely.from_wkb(file.read_row_group(group, columns=["geometry"])["geometry"].to_numpy())
        centres.append(shapely.get_coordinates(shapely.centroid(shapes)))
        areas.append(shapely.area(shapes))
    return np.concatenate(centres), np.concatenate(areas)


def compare(slide: ScaleSlide, path: Path) -> dict[str, Any]:
    """Compare objects with the truth."""
    truth, (centres, areas) = slide.truth(), found_in(path)
    pairs = match_centres(centres * MPP, truth[:, :2] * MPP, _MATCH_UM)
    known = np.pi * truth[pairs[:, 1], 2] * truth[pairs[:, 1], 3]
    share = areas[pairs[:, 0]] / known
    return {
        "found": len(centres),
        "known": len(truth),
        "f1": round(f1_score(len(pairs), len(centres), len(truth)), 5),
        "duplicated": len(KDTree(centres * MPP).query_pairs(_DUPLICATE_UM)),
        "truncated": int((share < _TRUNCATED).sum()),
        "area": round(float(areas[pairs[:, 0]].sum() / known.sum()), 4),
    }


def measure(side: int, folder: Path, workers: int) -> dict[str, Any]:
    slide = folder / f"{side}.svs"
    # Worker processes import the model when they start.
    os.environ["DASK_DISTRIBUTED__WORKER__PRELOAD"] = "benchmarks.scale_model"
    here = [sys.executable, "-m", "benchmarks.scale", "--folder", str(folder), "--workers", str(workers), str(side)]
    if not slide.exists():
        started = time.perf_counter()
        run_measured([*here, "--only", "paint"])
        print(f"wrote {side:,} px: {slide.stat().st_size / 1e6:,.0f} MB, {time.perf_counter() - started:.0f} s")
    for name in ("whole", "staged"):
        shutil.rmtree(folder / f"{name}-{side}", ignore_errors=True)
    whole = run_measured([*here, "--only", "whole"])
    staged = run_measured([*here, "--only", "staged"])
    report, stages = json.loads(whole.stdout), json.loads(staged.stdout)
    agreed = compare(ScaleSlide(side), folder / f"whole-{side}" / "objects.parquet")
    outputs = sum(path.stat().st_size for path in (folder / f"whole-{side}").iterdir() if path.is_file())
    seconds = stages["outline"] + stages["write"]
    return {
        "side_px": side,
        "peak_mb": round(whole.peak_mb),
        "seconds": round(whole.seconds, 1),
        "stages": report["stages"],
        "peak_mb_of": peaks_of(whole, report["began"]),
        "object_stages_s": round(seconds, 1),
        "object_stages_s_per_million": round(seconds * 1e6 / max(1, stages["count"]), 1),
        "graph_ms_per_tile": round(stages["graph_ms_per_tile"], 3),
        "staged_peak_mb": round(staged.peak_mb),
        "written_mb": round(report["bytes"] / 1e6),
        "outputs_mb": round(outputs / 1e6),
        **agreed,
    }


def peaks_of(whole: Measured, began: dict[str, float]) -> dict[str, int]:
    """Return the peak memory during each stage; prediction and outlining run together."""
    marks = sorted((when, stage) for stage, when in began.items() if stage != "outline")
    ends = [when for when, _ in marks[1:]] + [float("inf")]
    return {stage: round(whole.peak_mb_between(start, stop)) for (start, stage), stop in zip(marks, ends, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="*", type=int, default=[20_000, 50_000, 100_000])
    parser.add_argument("--folder", type=Path, help="folder for the slides; default: a temporary one")
    parser.add_argument("--workers", type=int, default=2, help="worker processes; 0: threads of one process")
    parser.add_argument("--only", choices=("paint", "whole", "staged"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        side, slide = given.sides[0], given.folder / f"{given.sides[0]}.svs"
        if given.only == "paint":
            write(ScaleSlide(side), slide)
        else:
            {"whole": run_whole, "staged": run_staged}[given.only](
                slide, given.folder / f"{given.only}-{side}", given.workers
            )
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for side in sorted(given.sides):
            rows.append(measure(side, folder, given.workers))
            print(json.dumps(rows[-1]), flush=True)
    limits.end(kept=within_limits(rows))


def within_limits(rows: list[dict[str, Any]]) -> bool:
    """Print the limits, and return whether all hold."""
    peaks = [row["peak_mb"] for row in rows]
    duplicated, truncated = (sum(row[name] for row in rows) for name in ("duplicated", "truncated"))
    judged = {
        f"peak memory {max(peaks):,} MB (limit {LIMIT_MB:,.0f})": max(peaks) <= LIMIT_MB,
        f"growth {peaks[-1] / peaks[0]:.2f} (limit {LIMIT_GROWTH})": peaks[-1] <= LIMIT_GROWTH * peaks[0],
        f"object stages {max(row['object_stages_s_per_million'] for row in rows[-1:]):.0f} s per million (limit "
        f"{LIMIT_SECONDS:.0f})": rows[-1]["object_stages_s_per_million"] <= LIMIT_SECONDS,
        f"graph {max(row['graph_ms_per_tile'] for row in rows):.2f} ms per tile (limit {LIMIT_GRAPH_MS})": all(
            row["graph_ms_per_tile"] <= LIMIT_GRAPH_MS for row in rows
        ),
        f"F1 {min(row['f1'] for row in rows):.4f} (limit {LIMIT_F1})": min(row["f1"] for row in rows) >= LIMIT_F1,
        f"duplicated {duplicated}, truncated {truncated} (limit 0)": not (duplicated or truncated),
    }
    for text, held in judged.items():
        print(f"{'ok    ' if held else 'MISSED'} {text}")
    return all(judged.values())


if __name__ == "__main__":
    main()
