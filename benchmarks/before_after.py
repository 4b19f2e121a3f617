"""CPU seconds of whole runs of two commits, alternated: `python -m benchmarks.before_after SLIDE ...`.

Each run is the command `wsi-parse run` in a process of its own, start-up included, with the modules compiled before, as
those of an installed package are; its seconds are those of all its threads and child processes, and depend less on what
else the machine does than the clock. The model answers zeros, so a run costs what is around the network. Beside
it stands decoding each stored tile of level 0 once, and for two slides or more the slope: what the largest costs more
than the smallest, as a multiple of what decoding it costs more. Prints JSON, one object a figure.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from PIL import Image

from benchmarks.same_outputs import checked_out
from benchmarks.zeros_model import SCALES

#: The last commit before reading and the object stages were made faster.
BEFORE = "2ac1c6d"
EXECUTIONS = {"threads": 0, "processes": 2}
# Decoding that takes less is no measure: starting Python varies by as much.
_LEAST_LIMIT_S = 0.2
# What runs in each tree: its own package, and the model from here. Workers import the script as their main module.
_RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("zeros_model", {model!r})
sys.modules["zeros_model"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if __name__ == "__main__":
    from wsi_parse.cli.main import main
    slide, out, model, workers = sys.argv[1:]
    given = ["-p", "nuclei", "--model", model, "-o", out, "--workers", workers, "--set", "compute.threads=2", "-q"]
    sys.argv = ["wsi-parse", slide, *given]
    main()
"""
_DECODE = (
    "import sys; from pathlib import Path; from benchmarks.reading import decode_once; decode_once(Path(sys.argv[1]))"
)
_NOTHING = "import sys; from benchmarks.reading import decode_once"


@dataclass(frozen=True)
class Cost:
    """What a process and its children used: CPU seconds, the largest resident process in MB, and what was written."""

    seconds: float
    largest_mb: float
    outputs_sha256: str = ""


def cost_of(command: Sequence[str], tree: Path) -> Cost:
    """Run a command in a tree of the repository, and measure it."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, *command], cwd=tree, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {tree} with exit code {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def write_script(folder: Path) -> Path:
    """Write the script that :func:`run_in` runs; return its path."""
    path = folder / "run.py"
    path.write_text(_RUN.format(model=str(Path(__file__).with_name("zeros_model.py"))), encoding="utf-8")
    return path


def run_in(tree: Path, script: Path, slide: Path, model: str, workers: int) -> Cost:
    """Run a slide by the package in a tree."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        cost = cost_of([str(script), str(slide), str(out), model, str(workers)], tree)
        # The folder of the one slide; its name leaves out what ends the file's.
        (folder_of_slide,) = (path for path in out.iterdir() if path.is_dir())
        digest = outputs_sha256(folder_of_slide)
    return Cost(cost.seconds, cost.largest_mb, digest)


def outputs_sha256(folder: Path) -> str:
    """Return the hash of a run's annotations, tissue and pixels of its picture, which hold no times."""
    files = (folder / name for name in ("annotations.geojson", "tissue.geojson"))
    with Image.open(folder / "overlay.png") as picture:
        pixels = picture.tobytes()
    return hashlib.sha256(b"".join([*(file.read_bytes() for file in files), pixels])).hexdigest()


def alternated(
    trees: dict[str, Path], slide: Path, model: str, execution: str, rounds: int, script: Path
) -> tuple[dict[str, float], dict[str, object]]:
    """Run each version of the package in turns; return the median seconds of each, and all figures."""
    found: dict[str, list[Cost]] = {name: [] for name in trees}
    for name in trees:
        # Compiles the modules.
        run_in(trees[name], script, slide, model, EXECUTIONS[execution])
    for number in range(rounds):
        for name in list(trees) if number % 2 == 0 else list(trees)[::-1]:
            found[name].append(run_in(trees[name], script, slide, model, EXECUTIONS[execution]))
    seconds = {name: statistics.median(cost.seconds for cost in costs) for name, costs in found.items()}
    hashes = {name: {cost.outputs_sha256 for cost in costs} for name, costs in found.items()}
    return seconds, {
        "slide": slide.name,
        "model": model,
        "execution": execution,
        "rounds": rounds,
        **{f"{name}_cpu_s": round(value, 2) for name, value in seconds.items()},
        "ratio": round(seconds["after"] / seconds["before"], 3),
        **{f"{name}_mb": round(max(cost.largest_mb for cost in costs)) for name, costs in found.items()},
        "same_outputs": len(set.union(*hashes.values())) == 1,
    }


def decoding(slide: Path, rounds: int) -> float:
    """Return the median CPU seconds of decoding each stored tile once, without those of starting Python.

    0 for a folder of DICOM, whose tiles only OpenSlide decodes.
    """
    if slide.is_dir():
        return 0.0
    here = Path(__file__).parent.parent
    started, whole = (
        statistics.median(cost_of(["-c", code, str(slide)], here).seconds for _ in range(rounds))
        for code in (_NOTHING, _DECODE)
    )
    return whole - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "slides", nargs="+", type=Path, help="from the smallest to the largest; files, or folders of DICOM"
    )
    parser.add_argument("--before", default=BEFORE, help=f"a commit; default: {BEFORE}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", action="append", choices=list(SCALES))
    parser.add_argument("--execution", action="append", choices=list(EXECUTIONS))
    given = parser.parse_args()
    slides = [slide.absolute() for slide in given.slides]
    limits = {slide: decoding(slide, given.rounds) for slide in slides}
    for slide, limit in limits.items():
        print(json.dumps({"slide": slide.name, "decode_once_cpu_s": round(limit, 3)}), flush=True)
    with tempfile.TemporaryDirectory() as folder, checked_out(given.before, Path(folder) / "before") as before:
        script = write_script(Path(folder))
        trees = {"before": before.tree, "after": Path(__file__).parent.parent}
        for model, execution in product(given.model or SCALES, given.execution or EXECUTIONS):
            costs = []
            for slide in slides:
                seconds, told = alternated(trees, slide, model, execution, given.rounds, script)
                costs.append(seconds)
                if limits[slide] > _LEAST_LIMIT_S:
                    told |= {
                        f"{name}_times_decoding": round(value / limits[slide], 2) for name, value in seconds.items()
                    }
                print(json.dumps(told), flush=True)
            more = limits[slides[-1]] - limits[slides[0]]
            if len(slides) > 1 and more > 0:
                slopes = {name: round((costs[-1][name] - costs[0][name]) / more, 2) for name in trees}
                print(json.dumps({"model": model, "execution": execution, "slope": slopes}), flush=True)


if __name__ == "__main__":
    main()
