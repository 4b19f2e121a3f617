"""Measures all figures of docs/measured.md, one after the other: `python -m benchmarks`."""

import argparse
import subprocess
import sys

MODULES = (
    "reading",
    "objects",
    "exporters",
    "annotations",
    "evaluate",
    "tissue",
    "memory",
    "scale",
    "cohort",
    "mini",
    "biomedparse",
)


def main() -> None:
    """Run each benchmark in a separate process; exit code 1 if one misses its limit."""
    argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__).parse_args()
    missed = []
    for name in MODULES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
    print(f"limits missed by: {', '.join(missed)}" if missed else "all benchmarks are within their limits")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
