"""Blend, outline, measure and write: objects per second on all cores: `python -m benchmarks.objects [--json]`.

Limit: 10,000 objects/s on 2 cores. The predictions are computed before and do not count.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import limits
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.graph import remaining_work, run_graph
from wsi_parse.compute.memory import MemorySampler
from wsi_parse.exporters.base import ExportContext
from wsi_parse.exporters.geojson import GeoJsonExporter
from wsi_parse.exporters.parquet import ParquetExporter
from wsi_parse.run.collect import collect
from wsi_parse.run.layout import lay_out
from wsi_parse.run.prepared import resolve_run
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings
from wsi_parse.synthetic import SyntheticSlide, write_svs_like

LIMIT = 10_000
# Density of the synthetic slide: about 9,000 nuclei per mm², as in a cellular tumour.
DENSITY = 6.0


def measure(side: int, workers: int, folder: Path) -> dict[str, Any]:
    """Time the object stages of one run on a synthetic slide."""
    slide = folder / f"{side}.svs"
    if not slide.exists():
        write_svs_like(slide, SyntheticSlide(side, side, seed=1, tissue=0.95, density=DENSITY))
    settings = RunSettings.load(prompts=("nuclei",), model={"name": "stain"}, compute={"workers": workers})
    prepared = resolve_run(slide, resolve(settings))
    plan = lay_out(prepared, prepared.tissue(), folder / f"out-{workers}")
    blocks, chunks = remaining_work(plan)
    nothing: list[list[tuple[int, int]]] = [[] for _ in plan.passes]
    with Cluster(settings.compute, plan.objects) as cluster:
        workers_of_run = cluster.workers()
        run_graph(workers_of_run, plan, blocks, nothing, lambda _: None)
        with MemorySampler(0.5) as sampler:
            started = time.perf_counter()
            run_graph(workers_of_run, plan, nothing, chunks, lambda _: None)
            outlined = time.perf_counter()
            context = ExportContext(plan.classes, (0, 0), {})
            objects = 0
            with (
                GeoJsonExporter(folder / "a.geojson", context) as geojson,
                ParquetExporter(folder / "a.parquet", context) as parquet,
            ):
                for batch in collect(plan):
                    objects += len(batch)
                    geojson.write(batch)
                    parquet.write(batch)
            written = time.perf_counter()
    return {
        "side_px": side,
        "workers": workers,
        "objects": objects,
        "outline_s": round(outlined - started, 2),
        "write_s": round(written - outlined, 2),
        "objects_per_second": round(objects / (written - started)),
        "peak_mb": round(sampler.peak_bytes / 1e6),
        "outputs_sha256": hashlib.sha256((folder / "a.geojson").read_bytes()).hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=12_000)
    parser.add_argument("--folder", type=Path, help="folder for the slide; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [measure(chosen.side, workers, folder) for workers in (0, 2)]
    for row in rows:
        told = (f"{name} {value}" if isinstance(value, str) else f"{name} {value:,}" for name, value in row.items())
        print(json.dumps(row) if chosen.json else "  ".join(told))
    best = max(row["objects_per_second"] for row in rows)
    print(f"limit {LIMIT:,} objects/s; {best / LIMIT:.2f} x the limit", file=sys.stderr)
    limits.end(kept=best >= LIMIT)


if __name__ == "__main__":
    main()
