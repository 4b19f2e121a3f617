"""Measures everything and writes benchmarks/RESULTS.md: `python -m benchmarks [--rounds N] [--only NAME ...]`.

What is timed runs in several rounds, in each of them every benchmark once, so that what else the machine does meets all
alike. What takes long and holds limits of memory, accuracy and counts runs once after them. Exit code 1 if a benchmark
fails, or its outputs are not the same in all rounds; never for a time or another limit that is missed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.limits import MISSED
from benchmarks.measured import run_measured
from benchmarks.measures import MEASURES, Measure, printed_objects
from benchmarks.results import Series, add_round, unequal, write_results

#: What runs once: its exit code says whether it kept its limits, missed one, or failed.
ONCE = ("annotations", "evaluate", "tissue", "memory", "scale", "cohort", "viewer")
ENDS = {0: "kept", MISSED: "missed"}


def main() -> None:
    """Run all rounds, then what runs once."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*(measure.module for measure in MEASURES), *ONCE]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=names, help="default: everything")
    parser.add_argument("--small", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    given = parser.parse_args()
    chosen = given.only or names
    load = os.getloadavg()[0]
    series: dict[str, Series] = {}
    failed = measure_rounds([one for one in MEASURES if one.module in chosen], given.rounds, series, small=given.small)
    once = [] if given.small else [(name, run_once(name)) for name in ONCE if name in chosen]
    failed |= {name for name, ended in once if ended not in ENDS.values()}
    write_results(given.out, series, once, load)
    changing = unequal(series)
    print(given.out.read_text(encoding="utf-8"))
    print(f"failed: {', '.join(sorted(failed)) or 'none'}; outputs not the same: {', '.join(changing) or 'none'}")
    sys.exit(bool(failed or changing))


def measure_rounds(measures: list[Measure], rounds: int, series: dict[str, Series], *, small: bool) -> set[str]:
    """Run each measure once a round, each time beginning with another; return those that failed."""
    failed = set()
    for number in range(rounds):
        first = number % max(1, len(measures))
        for measure in measures[first:] + measures[:first]:
            print(f"== round {number + 1} of {rounds}: {measure.module}", flush=True)
            arguments = measure.small if small else measure.arguments
            done = run_measured([sys.executable, "-m", f"benchmarks.{measure.module}", *arguments], check=False)
            try:
                if done.code not in ENDS:
                    raise ValueError(f"exit code {done.code}")
                figures = measure.read(printed_objects(done.stdout))
                if not figures:
                    raise ValueError("it printed no figure")
                add_round(series, figures, measure.limit, done.peak_mb)
            except (ValueError, LookupError) as error:
                print(f"{measure.module} failed: {error!r}", file=sys.stderr)
                failed.add(measure.module)
    return failed


def run_once(name: str) -> str:
    """Run a benchmark that holds limits; return how it ended."""
    print(f"== {name}", flush=True)
    code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    return ENDS.get(code, f"**failed**, exit code {code}")


if __name__ == "__main__":
    main()
