"""CPU seconds of each stage of a run whose model answers zeros: `python -m benchmarks.stages [SLIDE ...] [--json]`.

Each run is also told as a multiple of decoding every stored tile of level 0 once, measured in the same process. CPU
seconds hardly depend on what else the machine does. Without slides, painted ones are made: `--form`, `--tile` and
`--side` say which. A stage's seconds are those of its own code, without the stages inside it. The peak of memory (MB of
a million bytes) is that of a second run, in a process of its own, without the stopwatch.
"""

import argparse
import functools
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.reading import decode_once
from benchmarks.scale_slide import ENDINGS, Form, ScaleSlide, write
from benchmarks.zeros_model import SCALES, Zeros
from wsi_parse.compute import graph, memory, worker
from wsi_parse.compute.cluster import Cluster
from wsi_parse.compute.plan import RunPlan
from wsi_parse.geometry import Box
from wsi_parse.objects.chunk_objects import ChunkObjects
from wsi_parse.pictures.overlay import Overlay
from wsi_parse.predict import inference
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.report.page import Report
from wsi_parse.run import outputs, pipeline, stages
from wsi_parse.run.prepared import PreparedRun
from wsi_parse.settings import RunSettings
from wsi_parse.slides import open_slide
from wsi_parse.slides.cached_tiles import CachedTiles, ReadTile
from wsi_parse.slides.slide import Slide

# Whose code belongs to which stage; what is inside a stage is told as "outer: inner".
_STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "open": ((pipeline, "resolve_run"),),
    "tissue": ((PreparedRun, "tissue"), (stages, "pixel_size_facts")),
    "predict": ((worker, "predict_block"),),
    "read": ((Slide, "read"), (Slide, "read_readable")),
    "cut": ((inference, "cut_tile"),),
    "model": ((Zeros, "predict"),),
    "store": ((TileStore, "write_block"),),
    "check blocks": ((RunPlan, "is_predicted"),),
    "objects": ((worker, "extract_objects"),),
    "blend": ((PassMaps, "channel"),),
    "save": ((ChunkObjects, "save"),),
    "check chunks": ((RunPlan, "has_objects"),),
    "load": ((ChunkObjects, "load"),),
    "write": ((stages, "write_outputs"),),
    "pictures": ((Overlay, "finish"),),
    "report": ((Report, "finish"), (Report, "write")),
    "release": ((worker, "release"), (outputs, "release")),
    "memory": ((memory.MemorySampler, "_sample"),),
    "start cluster": ((Cluster, "workers"),),
    "list tasks": ((graph, "tasks_of"),),
    "lay out": ((stages, "lay_out"),),
    "remove work": ((pipeline, "remove_work"),),
}


class Stopwatch:
    """Adds up the CPU seconds of each stage, over all threads of this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock, self._here = threading.Lock(), threading.local()

    def watch(self, owner: Any, name: str, stage: str) -> None:  # noqa: ANN401 - a module or a class
        """Count a function's own time to a stage from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def watched(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            stack: list[list[Any]] = self._here.__dict__.setdefault("stack", [])
            # The name and the seconds of the stages inside; a stage inside itself is one.
            if stack and stack[-1][0].endswith(stage):
                return function(*given, **named)
            stack.append([f"{stack[0][0]}: {stage}" if stack else stage, 0.0])
            started = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                seconds = time.thread_time() - started
                label, inside = stack.pop()
                if stack:
                    stack[-1][1] += seconds
                with self._lock:
                    self.seconds[label] = self.seconds.get(label, 0.0) + seconds - inside

        setattr(owner, name, watched)


@dataclass
class Decoded:
    """How often tiles of a level were decoded."""

    level: Box
    count: int
    reads: int = 0

    def counting(self, read: ReadTile) -> ReadTile:
        """Return a function that counts, and reads."""

        def counted(tile: Box) -> NDArray[np.uint8]:
            self.reads += 1
            return read(tile)

        return counted


def profile(path: Path, model: str, threads: int) -> dict[str, Any]:
    """Run a slide in threads of this process; return the seconds of its stages."""
    watch = Stopwatch()
    decoded: list[Decoded] = []
    for stage, places in _STAGES.items():
        for owner, name in places:
            watch.watch(owner, name, stage)
    made = CachedTiles.__init__

    @functools.wraps(made)
    def counted(self: CachedTiles, *given: Any) -> None:  # noqa: ANN401
        made(self, *given)
        # Not the tiles themselves: their cache would be held until the end.
        of_level = Decoded(self.level, self.count)
        decoded.append(of_level)
        self._read = of_level.counting(self._read)
        watch.watch(self, "_read", "decode")

    setattr(CachedTiles, "__init__", counted)  # noqa: B010 - a type checker refuses the assignment
    with tempfile.TemporaryDirectory() as out:
        before, started = time.process_time(), time.perf_counter()
        run(path, Path(out) / "out", model, threads)
        total, wall = time.process_time() - before, time.perf_counter() - started
        digest = outputs_sha256(Path(out) / "out")
    limit = time.process_time()
    pixels = decode_once(path) if path.suffix != ".dcm" and "strips" not in path.name else 0.0
    limit = time.process_time() - limit
    rest = total - sum(watch.seconds.values())
    with open_slide(path) as slide:
        level0 = slide.info.levels[0].box
    whole = [tiles for tiles in decoded if tiles.level == level0]
    return {
        "slide": path.name,
        "model": model,
        "threads": threads,
        "decode_once_s": round(limit, 3),
        "decode_mpx_per_s": round(pixels / limit / 1e6) if pixels else None,
        "total_s": round(total, 3),
        "wall_s": round(wall, 3),
        "ratio": round(total / limit, 2) if pixels else None,
        "decodes_per_tile": round(sum(tiles.reads for tiles in whole) / max(tiles.count for tiles in whole), 3)
        if whole
        else None,
        "outputs_sha256": digest,
        "stages_s": {name: round(seconds, 3) for name, seconds in sorted(watch.seconds.items())}
        | {"scheduler and rest": round(rest, 3)},
    }


def peak_mb(path: Path, model: str, threads: int) -> float:
    """Run a slide without a stopwatch, whose notes take memory; return the peak of this process."""
    with tempfile.TemporaryDirectory() as out:
        run(path, Path(out) / "out", model, threads)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def run(path: Path, out: Path, model: str, threads: int) -> None:
    """Run a slide in threads of this process."""
    settings = RunSettings.load(prompts=("nuclei",), model={"name": model}, compute={"workers": 0, "threads": threads})
    pipeline.run_slide(path, out, settings)


def outputs_sha256(folder: Path) -> str:
    """Return the hash of a run's annotations and tissue, which hold no times."""
    files = (folder / name for name in ("annotations.geojson", "tissue.geojson"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def report(found: dict[str, Any]) -> None:
    """Print a profile, the largest lines first."""
    limit = found["decode_once_s"] if found["ratio"] else None
    print(f"== {found['slide']}, {found['model']}, {found['threads']} threads")
    told = f"{found['total_s']:.2f} s CPU"
    if limit:
        told += f", {found['ratio']:.2f} x decoding once ({limit:.2f} s, {found['decode_mpx_per_s']} Mpx/s)"
    if found["decodes_per_tile"]:
        told += f"; {found['decodes_per_tile']:.2f} decodes of each tile of level 0"
    print(f"{told}; peak {found['peak_mb']} MB")
    for name, seconds in sorted(found["stages_s"].items(), key=lambda item: -item[1]):
        print(f"{seconds:>9.3f} s {f'{seconds / limit:>6.2f} x' if limit else ''}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="*", type=Path)
    parser.add_argument("--form", action="append", choices=list(ENDINGS), help="default: svs")
    parser.add_argument("--tile", action="append", type=int, help="default: 240, 256, 512 and 1024")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--model", action="append", choices=list(SCALES), help="default: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="folder for the painted slides; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["seconds", "memory"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        measure = profile if given.only == "seconds" else peak_mb
        print(json.dumps(measure(given.slides[0], given.model[0], given.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        slides = given.slides or [
            painted(folder, given.side, tile, form)
            for form in cast(list[Form], given.form or ["svs"])
            for tile in given.tile or [240, 256, 512, 1024]
        ]
        for slide in slides:
            for model in given.model or SCALES:
                # Each in a process of its own, so that the peak of memory is its own.
                found = {name: measured(slide, model, given.threads, name) for name in ("seconds", "memory")}
                profiled = found["seconds"] | {"peak_mb": round(found["memory"])}
                if given.json:
                    print(json.dumps(profiled), flush=True)
                else:
                    report(profiled)


def measured(slide: Path, model: str, threads: int, what: str) -> Any:  # noqa: ANN401 - an object of JSON
    """Measure one thing in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stages", str(slide), "--model", model]
    command += ["--threads", str(threads), "--only", what]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def painted(folder: Path, side: int, tile: int, form: Form) -> Path:
    """Return a painted slide; one that is in the folder already is used again."""
    path = folder / f"p{side}-{tile}{ENDINGS[form]}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(ScaleSlide(side), path, tile, form)
    return path


if __name__ == "__main__":
    main()
