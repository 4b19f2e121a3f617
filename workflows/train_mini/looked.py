"""The log of looks at held-out tiles: whoever looks often enough finds a network that fits them by chance."""

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from workflows.train_mini.tiles import Tile
from wsi_parse.files import file_sha256

LOG_NAME = "looked.csv"
#: Committed beside the splits; each run of a measuring command on held-out tiles adds a line.
LOOKED = Path(__file__).with_name(LOG_NAME)
_HEAD = ("date", "weights_sha256", "command", "sets")


def log_look(command: str, weights: Path, tiles: Iterable[Tile], log: Path = LOOKED) -> None:
    """Add a line to the log; the same look twice on a day is one line.

    Parameters
    ----------
    command : str
        Such as "card".
    weights : Path
    tiles : iterable of Tile
        Held-out tiles that are measured on.
    log : Path
        A CSV, beside the settings that name the sets; it is made if it does not exist.
    """
    sets = " ".join(sorted({tile.set_name for tile in tiles}))
    row = (f"{datetime.now(UTC):%Y-%m-%d}", file_sha256(weights)[:12], command, sets)
    if not log.exists():
        _append(log, _HEAD)
    if row not in looks(log):
        _append(log, row)


def looks(log: Path = LOOKED) -> list[tuple[str, ...]]:
    """Return the lines of the log, the first of them first."""
    if not log.exists():
        return []
    with log.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return [tuple(row) for row in rows]


def _append(log: Path, row: Sequence[str]) -> None:
    with log.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
