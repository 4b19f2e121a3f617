"""What a command costs before it works: `python -m benchmarks.startup`; prints JSON.

The limit is Python that starts and does nothing, in the same minute.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wsi_parse.synthetic import SyntheticSlide, write_svs_like

ROUNDS = 3


def seconds_of(command: list[str]) -> tuple[float, str]:
    """Return the median seconds of a command, and what it printed."""
    seconds, printed = [], ""
    for _ in range(ROUNDS):
        started = time.perf_counter()
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), printed


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "small.svs"
        write_svs_like(slide, SyntheticSlide(2000, 2000, seed=1))
        nothing, _ = seconds_of([sys.executable, "-c", "pass"])
        info, printed = seconds_of([sys.executable, "-m", "wsi_parse.cli.main", "info", str(slide), "--json"])
    digest = hashlib.sha256(printed.replace(folder, "").encode()).hexdigest()
    print(json.dumps({"seconds": info, "times_limit": info / nothing, "outputs_sha256": digest}))


if __name__ == "__main__":
    main()
