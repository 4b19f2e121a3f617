"""What a run costs beside its network: `python -m benchmarks.beside_network [SLIDE] [--before COMMIT]`.

Each run is the command `wsi-parse run` with `mini` and default settings in a process of its own, start-up included. Its
processor seconds are those of all its threads and child processes. Of the network are the calls of `predict` of the
model: the forward passes, with what makes tensors of pixels and channels of tensors, in the thread that calls and in
those that torch started for it (as the system tells them, in /proc; so this runs on Linux only). All else is beside
the network: also importing torch, loading the weights, and estimating the stain. With --before, the runs of a commit
and of the working tree are alternated. Without a slide, CMU-1-Small-Region of the test data is taken. Prints JSON, one
object a version, with the hash of the outputs.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.before_after import cost_of, outputs_sha256
from benchmarks.same_outputs import DATA, checked_out
from benchmarks.scale_slide import ScaleSlide, write

# What runs in each tree: its own package, with a watch around the model's answers.
_RUN = """
import json, sys, threading, time
from pathlib import Path
from wsi_parse.cli.main import main
from wsi_parse.models.mini.segmenter import MiniModel

predict, lock, seconds = MiniModel.predict, threading.Lock(), []

def helpers():
    # Seconds of the threads that Python did not start.
    ours = {thread.native_id for thread in threading.enumerate()}
    others = [path for path in Path("/proc/self/task").iterdir() if int(path.name) not in ours]
    return {path.name: int((path / "schedstat").read_text().split()[0]) / 1e9 for path in others}

def watched(self, *given):
    with lock:
        before, started = helpers(), time.thread_time()
        try:
            return predict(self, *given)
        finally:
            own = time.thread_time() - started
            seconds.append(own + sum(value - before.get(name, 0.0) for name, value in helpers().items()))

MiniModel.predict = watched
slide, out, told, *options = sys.argv[1:]
sys.argv = ["wsi-parse", slide, "-p", "neoplastic cells", "--model", "mini", "-o", out, "-q", *options]
try:
    main()
finally:
    Path(told).write_text(json.dumps({"calls": len(seconds), "network_cpu_s": sum(seconds)}))
"""


@dataclass(frozen=True)
class Split:
    """Processor seconds of a run, and those of its network."""

    whole_s: float
    network_s: float
    calls: int
    outputs_sha256: str

    @property
    def beside_s(self) -> float:
        """What is beside the network."""
        return self.whole_s - self.network_s


def split_of(tree: Path, slide: Path) -> Split:
    """Run a slide by the package in a tree."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        script, out, told = folder / "run.py", folder / "out", folder / "told.json"
        script.write_text(_RUN, encoding="utf-8")
        cost = cost_of([str(script), str(slide), str(out), str(told)], tree)
        found = json.loads(told.read_text(encoding="utf-8"))
        return Split(cost.seconds, found["network_cpu_s"], found["calls"], outputs_sha256(out / slide.stem))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path, nargs="?", default=DATA / "slides/aperio/CMU-1-Small-Region.svs")
    parser.add_argument("--painted", type=int, metavar="SIDE", help="instead of a slide: one that is painted")
    parser.add_argument("--before", help="a commit; default: only the working tree is measured")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        slide = given.slide.absolute()
        if given.painted:
            slide = Path(folder) / f"painted-{given.painted}.svs"
            write(ScaleSlide(given.painted), slide)
        trees = {"now": Path(__file__).parent.parent}
        if given.before:
            trees["before"] = stack.enter_context(checked_out(given.before, Path(folder) / "before")).tree
        found: dict[str, list[Split]] = {name: [] for name in trees}
        # The first round compiles the modules.
        for number in range(given.rounds + 1):
            for name in list(trees) if number % 2 == 0 else list(trees)[::-1]:
                split = split_of(trees[name], slide)
                found[name] += [split] if number else []
    for name, splits in found.items():
        print(json.dumps({"version": name, "slide": slide.name, **told_of(splits)}))


def told_of(splits: Sequence[Split]) -> dict[str, object]:
    """Return the medians and ranges of some runs."""
    beside = sorted(split.beside_s for split in splits)
    (outputs,) = {split.outputs_sha256 for split in splits}
    return {
        "rounds": len(splits),
        "beside_cpu_s": round(statistics.median(beside), 2),
        "from_s": round(beside[0], 2),
        "to_s": round(beside[-1], 2),
        "network_cpu_s": round(statistics.median(split.network_s for split in splits), 2),
        "network_calls": splits[0].calls,
        "outputs_sha256": outputs,
    }


if __name__ == "__main__":
    main()
