"""Which tiles a measuring command looks at: by the roles of the splits."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.splits import FOLDS, Use, read_splits, uses
from workflows.train_mini.tiles import NOT_NEOPLASTIC, UNKNOWN, Tile

#: The sets that the embedded model is measured on.
SETTINGS = Path(__file__).with_name("card.yaml")


def measuring_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a measuring command, with what all of them take: weights, data and the sets."""
    parser = argparse.ArgumentParser(
        prog=f"python -m workflows.train_mini.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="YAML file of the sets; default: card.yaml")
    return parser


class Selection:
    """The tiles of all sets, by what they are used for.

    Parameters
    ----------
    data : Path
        Folder of the sets.
    settings_file : Path
        YAML; the table of splits lies beside it.
    """

    def __init__(self, data: Path, settings_file: Path = SETTINGS) -> None:
        self.settings = TrainingSettings.load(settings_file)
        splits = self.settings.splits
        self._roles = read_splits(settings_file.parent / splits) if splits else {}
        self._tiles = {name: read_set(name, of_set, data) for name, of_set in self.settings.sets.items()}
        for name, of_set in self.settings.sets.items():
            if of_set.normal:
                self._tiles[name] = [not_neoplastic(tile) for tile in self._tiles[name]]
        #: Sets of normal tissue.
        self.normal = [name for name, one in self.settings.sets.items() if one.normal]

    def held_out(self) -> list[Tile]:
        """Return the tiles that no network learns from and no choice is made on."""
        return self._used(Use.HELD_OUT, None)

    def learnt(self) -> list[Tile]:
        """Return the tiles that networks learn from, if no fold is held out."""
        return self._used(Use.LEARNT, None)

    def calibration(self) -> list[Tile]:
        """Return the tiles on which the lines of sure classes are chosen."""
        return self._used(Use.CALIBRATION, None)

    def fold(self, number: int) -> list[Tile]:
        """Return the tiles that only the network of this fold did not learn from."""
        always = {(tile.set_name, tile.name) for tile in self.held_out()}
        return [tile for tile in self._used(Use.HELD_OUT, number) if (tile.set_name, tile.name) not in always]

    def folds(self) -> list[list[Tile]]:
        """Return the tiles of each fold."""
        return [self.fold(number) for number in range(FOLDS)]

    def _used(self, use: Use, fold: int | None) -> list[Tile]:
        kept = []
        for name, tiles in self._tiles.items():
            used = uses(tiles, self.settings.sets[name], self._roles, fold)
            kept += [tile for tile in tiles if used[tile.group] == use]
        return kept


def not_neoplastic(tile: Tile) -> Tile:
    """Return a tile of normal tissue in which it is known that no nucleus is neoplastic."""
    classes = np.full(tile.nuclei.max() + 1, NOT_NEOPLASTIC, np.uint8)
    classes[0] = UNKNOWN
    return replace(tile, classes=classes)


def of_sets(tiles: Iterable[Tile], names: Sequence[str]) -> list[Tile]:
    """Return the tiles of some sets."""
    return [tile for tile in tiles if tile.set_name in names]
