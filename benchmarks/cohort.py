"""Memory of the client process of a cohort, slide after slide: `python -m benchmarks.cohort [SLIDES]`.

Workers are separate processes, as on a cluster; the client lays out, submits, collects and writes. Limit: after the
last slides it holds at most 1.1 x what it held in the first quarter.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import limits
from benchmarks.scale_slide import ScaleSlide, write
from wsi_parse.cohort import CohortSlide, Listing, Outcome, run_cohort
from wsi_parse.compute.memory import release
from wsi_parse.settings import RunSettings

LIMIT_GROWTH = 1.1
_SIDE = 3000


class Watch:
    """Records the memory of this process when a slide ends."""

    def __init__(self) -> None:
        self.held_mb: list[float] = []

    def note(self, text: str) -> None:
        """Ignore."""

    def device(self, name: str) -> None:
        """Ignore."""

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        """Ignore."""

    def tiles(self, count: int, *, found: bool) -> None:
        """Ignore."""

    def ended(self, outcome: Outcome) -> None:
        """Record the memory."""
        if outcome.state != "done":
            raise SystemExit(f"{outcome.id} failed: {outcome.error}")
        gc.collect()
        release()
        self.held_mb.append(psutil.Process().memory_info().rss / 1e6)


def _dask(kind: str, where: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(where), "--no-dashboard", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="?", type=int, default=60)
    count = parser.parse_args().slides
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        slide = folder / "s.svs"
        write(ScaleSlide(_SIDE), slide)
        where = folder / "scheduler.json"
        scheduler = _dask("scheduler", where, "--host", "127.0.0.1", "--port", "0")
        worker = _dask("worker", where, "--nthreads", "2", "--resources", "GPU=2")
        try:
            while not where.exists() or not where.read_text():
                time.sleep(0.1)
            settings = RunSettings.load(
                prompts=("nuclei",),
                model={"name": "stain"},
                compute={"cluster": json.loads(where.read_text())["address"]},
            )
            watch = Watch()
            rows = [CohortSlide(id=f"s{number}", path=slide) for number in range(count)]
            run_cohort(Listing(rows), folder / "out", settings, watch)
        finally:
            worker.terminate()
            scheduler.terminate()
            worker.wait()
            scheduler.wait()
    early, late = max(watch.held_mb[: count // 4]), max(watch.held_mb[-count // 4 :])
    print(json.dumps({"slides": count, "held_mb": [round(one) for one in watch.held_mb]}))
    held = late <= LIMIT_GROWTH * early
    print(f"{'ok    ' if held else 'MISSED'} client {early:.0f} MB, then {late:.0f} MB (limit {LIMIT_GROWTH} x)")
    limits.end(kept=held)


if __name__ == "__main__":
    main()
