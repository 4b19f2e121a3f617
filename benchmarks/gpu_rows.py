"""Rows of `benchmarks.gpu`: one figure each, kept in a file line by line, so that a part that is stopped loses none."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    part : str
        "network" or "pipeline".
    what : str
        What was measured: network, precision, batch, prompts, way.
    value : float or None
        None where there is none; `note` says why.
    unit : str
    times_floor : float or None
        Time over the least time possible: its operations at the rate of a matrix product in the same run.
    peak_gb : float or None
        Largest memory of the device.
    holds : bool or None
        Whether a limit on correctness is kept; None: it has none. Speed has no limit.
    note : str
    """

    part: str
    what: str
    value: float | None = None
    unit: str = ""
    times_floor: float | None = None
    peak_gb: float | None = None
    holds: bool | None = None
    note: str = ""


def add_row(path: Path, row: Row) -> None:
    """Append a row to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file; a line that was cut off while it was written is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [Row(**json.loads(line)) for line in lines if line.endswith("\n")]


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = ["| part | what | value | x floor | peak memory | |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (
            row.part,
            row.what,
            "" if row.value is None else f"{row.value:.4g} {row.unit}".strip(),
            "" if row.times_floor is None else f"{row.times_floor:.2f}",
            "" if row.peak_gb is None else f"{row.peak_gb:.2f} GB",
            " ".join(filter(None, ({True: "ok", False: "WRONG", None: ""}[row.holds], row.note))),
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def report(facts: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the one JSON file holds."""
    return {**facts, "rows": [asdict(row) for row in rows]}
