"""All figures of the README, one after the other: `python -m benchmarks`."""

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
    "mini",
    "biomedparse",
)


def main() -> None:
    """Run each benchmark in a process of its own; exit code 1 where one misses its limit."""
    missed = []
    for name in MODULES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
    print(f"missed: {', '.join(missed)}" if missed else "all within their limits")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
