"""Peak memory of whole runs on synthetic slides of two sizes: `python -m benchmarks.memory [--json] [SIDE ...]`.

Limits: below 2 GB; a wide slide needs at most 25 % more than a narrow one, beside the stored tiles that it keeps for
the next row of blocks, which fill their cache (`PROMISED_BYTES`) from some width on.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import limits
from benchmarks.measured import run_measured
from wsi_parse.slides.cached_tiles import PROMISED_BYTES

LIMIT_MB = 2000
SPREAD = 0.25


def measure(side: int, folder: Path, *more: str) -> dict[str, Any]:
    """Write a slide of `side` x `side` px in a separate process, then measure a run on it."""
    slide = folder / f"{side}.svs"
    if not slide.exists():
        paint = (
            "import sys; from pathlib import Path; from wsi_parse.synthetic import SyntheticSlide, write_svs_like; "
            "write_svs_like(Path(sys.argv[1]), SyntheticSlide(int(sys.argv[2]), int(sys.argv[2]), seed=1))"
        )
        run_measured([sys.executable, "-c", paint, str(slide), str(side)])
    out = folder / f"out-{side}-{len(more)}"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "wsi_parse.cli.main",
        str(slide),
        "-p",
        "nuclei",
        "--model",
        "stain",
        "-o",
        str(out),
        "--json",
        *more,
    ]
    measured = run_measured(command)
    manifest = json.loads(measured.stdout)
    return {
        "side_px": side,
        "options": " ".join(more),
        "peak_mb": round(measured.peak_mb),
        "seconds": round(measured.seconds, 1),
        "objects": manifest["counts"]["nuclei"],
        "tissue_mm2": manifest["tissue_mm2"],
        "stages": manifest["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sides", nargs="*", type=int, default=[10_000, 40_000])
    parser.add_argument("--folder", type=Path, help="folder for the slides; default: a temporary one")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    more = ["--workers", str(chosen.workers)] if chosen.workers else []
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [measure(side, folder, *more) for side in sorted(chosen.sides)]
    peaks = [row["peak_mb"] for row in rows]
    spread = max(0.0, max(peaks) - PROMISED_BYTES / 1e6) / min(peaks) - 1
    if chosen.json:
        print(json.dumps({"rows": rows, "spread": round(spread, 3), "limit_mb": LIMIT_MB}))
    else:
        for row in rows:
            figures = f"{row['peak_mb']:>6,} MB  {row['seconds']:>7,.1f} s  {row['objects']:>9,} objects"
            print(f"{row['side_px']:>7,} px  {figures}")
        print(f"limit {LIMIT_MB:,} MB; beside the tiles kept, peaks differ by {spread:.0%} (limit {SPREAD:.0%})")
    limits.end(kept=max(peaks) <= LIMIT_MB and spread <= SPREAD)


if __name__ == "__main__":
    main()
