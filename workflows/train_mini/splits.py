"""Which groups (patients, fields, organs) a network learns from, is calibrated on, and is measured on.

The table `splits.csv` was written before the first training with it. Its roles:

- ``train``: learnt from.
- ``0`` to ``4``: one of five folds. It is learnt from, unless its fold is held out.
- ``calibration``: neither learnt from nor reported; the lines of unsure classes are chosen on these.
- ``report``: never learnt from, nor used to choose anything.
"""

import csv
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from workflows.train_mini.settings import SetSettings
from workflows.train_mini.tiles import Tile

SPLITS = Path(__file__).with_name("splits.csv")
FOLDS = 5


class Use(StrEnum):
    """What a group is used for."""

    LEARNT = "learnt"
    CALIBRATION = "calibration"
    HELD_OUT = "held_out"


def read_splits(path: Path) -> dict[tuple[str, str], str]:
    """Read the role of each (set, group)."""
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["set"], row["group"]): row["role"] for row in csv.DictReader(file)}


def uses(
    tiles: Sequence[Tile], of_set: SetSettings, roles: dict[tuple[str, str], str], fold: int | None
) -> dict[str, Use]:
    """Return the use of each group of a set.

    Parameters
    ----------
    tiles : sequence of Tile
        All of one set.
    of_set : SetSettings
    roles : dict
        As returned by :func:`read_splits`; empty without a table.
    fold : int or None
        The fold that is held out.

    Raises
    ------
    SystemExit
        The table knows the set, but not one of its groups; or the settings name a group that does not exist.
    """
    groups = sorted({tile.group for tile in tiles})
    name = tiles[0].set_name
    if any(of == name for of, _ in roles):
        lacking = [group for group in groups if (name, group) not in roles]
        if lacking:
            raise SystemExit(f"{name}: the splits do not name {', '.join(lacking)}. Give each group a role.")
        return {group: _use(roles[name, group], fold) for group in groups}
    unknown = set(of_set.held_out) - set(groups)
    if unknown:
        raise SystemExit(f"There is no group {', '.join(sorted(unknown))}. Choose from: {', '.join(groups)}.")
    every = set(groups[:: of_set.held_out_every]) if of_set.held_out_every else set()
    out = every | set(of_set.held_out) if of_set.share else set(groups)
    return {group: Use.HELD_OUT if group in out else Use.LEARNT for group in groups}


def _use(role: str, fold: int | None) -> Use:
    if role in {"train", *map(str, range(FOLDS))}:
        return Use.HELD_OUT if role == str(fold) else Use.LEARNT
    return Use.CALIBRATION if role == "calibration" else Use.HELD_OUT
