"""What was skipped, why, and what would make it run: the last lines of a test run."""

from collections import Counter
from collections.abc import Iterable

# Beginning of a reason that does not say itself what to do -> what to do.
REMEDIES = {
    "root may read everything": "run the tests as another user than root",
    "this system lets us mount nothing": "run the tests as root, where a tmpfs may be mounted",
    "this machine has a SLURM of its own": "run the tests on a machine without one",
    "the extra spatialdata": 'an environment without constraints.txt: pip install ".[spatialdata]" --group test',
}


def summary(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """One line with the number of tests, then one line for each reason, the most frequent first.

    Parameters
    ----------
    skipped
        Pairs of a test's id and pytest's reason. A file that is skipped as a whole counts as one test, although pytest
        reports it once for its tests and once for its doctests.
    """
    counts = Counter(reason.removeprefix("Skipped: ") for _, reason in set(skipped))
    lines = [f"Skipped: {counts.total()} test{'' if counts.total() == 1 else 's'}"]
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        remedy = next((told for start, told in REMEDIES.items() if reason.startswith(start)), None)
        lines.append(f"  {count:4d}  {reason}" + (f" -> {remedy}" if remedy else ""))
    return lines
