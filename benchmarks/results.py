"""RESULTS.md: the medians of several rounds, on which machine, of which versions, and what came out beside each."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from benchmarks.measures import Figure
from wsi_parse.models.device import device_name

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "scipy", "scikit-image", "shapely", "torch", "dask", "zarr", "imagecodecs", "tifffile", "pyarrow")
_SHOWN = 12
# From here on, figures are told without a fraction.
_WHOLE = 100


@dataclass
class Series:
    """A figure over all rounds."""

    limit: str
    figures: list[Figure] = field(default_factory=list)
    peaks_mb: list[float] = field(default_factory=list)

    @property
    def outputs(self) -> set[str]:
        """The different hashes of what was made: one, if nothing is wrong."""
        return {figure.outputs for figure in self.figures if figure.outputs is not None}


def add_round(series: dict[str, Series], figures: Iterable[Figure], limit: str, peak_mb: float) -> None:
    """Add the figures of one command to their series."""
    for figure in figures:
        one = series.setdefault(figure.what, Series(limit))
        one.figures.append(figure)
        one.peaks_mb.append(peak_mb if figure.peak_mb is None else figure.peak_mb)


def unequal(series: Mapping[str, Series]) -> list[str]:
    """Return the figures whose outputs were not the same in all rounds."""
    return [what for what, one in series.items() if len(one.outputs) > 1]


def write_results(path: Path, series: Mapping[str, Series], once: Sequence[tuple[str, str]], load: float) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    series : mapping of figure to Series
    once : sequence of (str, str)
        Benchmarks that ran once, and how they ended.
    load : float
        Mean number of running processes in the minute before the first round.
    """
    rounds = max((len(one.figures) for one in series.values()), default=0)
    lines = [
        "# Results",
        "",
        "Written by `make bench`; not edited by hand. They are what this machine did, and no promise: compare ratios.",
        "",
        *(f"- {name}: {told}" for name, told in _facts(load).items()),
        f"- rounds: {rounds}, alternated: every benchmark once in each, in turning order",
        "",
        "| what | median | least to most | to the limit | peak memory | outputs (sha256) |",
        "|---|---|---|---|---|---|",
        *(_line(what, one) for what, one in series.items()),
        "",
        "The limit of each, measured in the same process (a time over it, or of a rate the share that is reached):",
        "",
        *(f"- {what}: {one.limit}" for what, one in series.items() if one.figures[0].to_limit is not None),
        "",
    ]
    if once:
        lines += ["| benchmark, run once | its limits |", "|---|---|"]
        lines += [f"| `{name}` | {ended} |" for name, ended in once]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _line(what: str, series: Series) -> str:
    values = [figure.value for figure in series.figures]
    unit = series.figures[0].unit
    limits = [figure.to_limit for figure in series.figures if figure.to_limit is not None]
    outputs = sorted(series.outputs)
    cells = (
        what,
        f"{_number(statistics.median(values))} {unit}",
        f"{_number(min(values))} to {_number(max(values))}",
        f"{statistics.median(limits):.2f}" if limits else "",
        f"{statistics.median(series.peaks_mb):,.0f} MB",
        ("**not the same**: " if len(outputs) > 1 else "") + ", ".join(one[:_SHOWN] for one in outputs),
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def _facts(load: float) -> dict[str, str]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = psutil.virtual_memory().total / 1e9
    cores = f"{os.cpu_count()} cores, {memory:.0f} GB"
    found = {name: _version(name) for name in _PACKAGES}
    return {
        "machine": f"{device_name(torch.device('cpu'))}, {cores}, {platform.system()} {platform.machine()}",
        "networks ran on": device_name(device),
        "load before the first round": f"{load:.2f} (a figure of a busy machine is worth little)",
        "commit": _commit(),
        "versions": ", ".join([f"Python {platform.python_version()}", *(f"{a} {b}" for a, b in found.items())]),
        "date (UTC)": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "not a clone"
