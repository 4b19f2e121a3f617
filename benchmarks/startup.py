"""What a command costs before it works: `python -m benchmarks.startup`; prints JSON, one object a command.

Processor seconds of the command with all its threads and child processes, medians of a few rounds. The limit is Python
that starts and does nothing, in the same minute. The runs are those of a slide of 2,000 px with a model that finds
nothing.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.before_after import EXECUTIONS, cost_of, run_in, write_script
from benchmarks.scale_slide import ScaleSlide, write

ROUNDS = 3
_SIDE = 2_000
_HERE = Path(__file__).parents[1]


def seconds_of(command: list[str]) -> float:
    """Return the median processor seconds of a command of Python, after a round that compiles modules."""
    return statistics.median([cost_of(command, _HERE).seconds for _ in range(ROUNDS + 1)][1:])


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m benchmarks.startup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        slide, script = folder / "small.svs", write_script(folder)
        write(ScaleSlide(_SIDE), slide)
        nothing = seconds_of(["-c", "pass"])
        info = ["-m", "wsi_parse", "info", str(slide), "--json"]
        shown = subprocess.run([sys.executable, *info], cwd=_HERE, check=True, stdout=subprocess.PIPE).stdout
        tell("wsi-parse info", seconds_of(info), nothing, hashlib.sha256(shown).hexdigest())
        for execution, workers in EXECUTIONS.items():
            costs = [run_in(_HERE, script, slide, "zeros-half", workers) for _ in range(ROUNDS + 1)][1:]
            (outputs,) = {cost.outputs_sha256 for cost in costs}
            what = f"a run that finds nothing, {_SIDE:,} px, two {execution}"
            tell(what, statistics.median(cost.seconds for cost in costs), nothing, outputs)


def tell(what: str, cpu_s: float, limit_s: float, outputs: str) -> None:
    """Print a figure."""
    print(json.dumps({"what": what, "cpu_s": cpu_s, "times_limit": cpu_s / limit_s, "outputs_sha256": outputs}))


if __name__ == "__main__":
    main()
