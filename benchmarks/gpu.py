"""A GPU with the networks and with a whole run: `python -m benchmarks.gpu [--part PART] [--reference FOLDER]`.

In two parts, together at most eight minutes: `network` needs torch, transformers and timm only; `pipeline` needs the
packages of `benchmarks/gpu_requirements.txt`, too. Each part is a process of its own that is stopped when its time is
over; what it measured until then is kept. One JSON file (`--out`) and one table come out. Without a GPU, the processor
is measured; `--tiny` takes sizes for a processor, to see that the kit works.

The equality of the networks needs a folder with copies of the numeric reference: `--reference`.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_rows import Row, add_row, read_rows, report, table
from wsi_parse.models.device import choose_device, device_name, memory_bytes

#: Seconds of each part: the second one also has what the first one left.
SECONDS = {"network": 280, "pipeline": 180}
_SHOWN = 300


def facts_of(device: torch.device) -> dict[str, Any]:
    """Say what is measured."""
    memory = memory_bytes(device)
    return {
        "date_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "device_memory_gb": None if memory is None else round(memory / 1e9, 1),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
    }


def run_part(part: str, seconds: float | None, more: list[str], rows: Path) -> None:
    """Run a part in a process, for a limited time; that it failed or ran out of time is a row as well."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--only", part, "--rows", str(rows), *more]
    try:
        done = subprocess.run(command, check=False, timeout=seconds, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        add_row(rows, Row(part, "the rest", note=f"not measured: the {seconds or 0:.0f} s of this part were over"))
        return
    if done.returncode:
        last = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
        print(done.stderr, file=sys.stderr)
        add_row(rows, Row(part, "the rest", holds=False, note=f"failed: {last[:_SHOWN]}"))


def measure_part(given: argparse.Namespace) -> None:
    """Measure one part in this process."""
    from benchmarks.gpu_network import Bench, network_rows

    bench = Bench(choose_device(given.device), given.tiny, given.reference, given.folder)
    measured: Callable[[Bench], Iterator[Row]] = network_rows
    if given.only == "pipeline":
        from benchmarks.gpu_pipeline import pipeline_rows

        measured = pipeline_rows
    for row in measured(bench):
        add_row(given.rows, row)


def main() -> None:
    """Print the table; exit code 1 where something failed or is not right, whatever the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(SECONDS), help="default: both")
    parser.add_argument("--reference", type=Path, help="folder with recipe.py, keys_tiny.json and golden_tiny*.npz")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that the kit works")
    parser.add_argument("-o", "--out", type=Path, default=Path("gpu.json"), help="default: gpu.json")
    for hidden in ("--folder", "--rows"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=list(SECONDS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        measure_part(given)
        return
    # A device that cannot be opened is known before any time is spent.
    facts = facts_of(choose_device(given.device))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        more = ["--device", given.device, "--folder", str(folder), *(["--tiny"] if given.tiny else [])]
        more += ["--reference", str(given.reference.resolve())] if given.reference else []
        ends = time.monotonic()
        for part in given.part or SECONDS:
            ends += SECONDS[part]
            # A processor that has other work to do is given the time that it takes.
            run_part(part, None if given.tiny else ends - time.monotonic(), more, folder / "rows.jsonl")
        rows = read_rows(folder / "rows.jsonl")
    given.out.write_text(json.dumps(report({**facts, "tiny": given.tiny}, rows), indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(table(rows), end="")
    sys.exit(any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
