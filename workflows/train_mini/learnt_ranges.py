"""Measure what the training tiles look like, for confidence.json: on a slide outside of it, classes are less sure.

python -m workflows.train_mini.learnt_ranges DATA [--settings FILE] [--confidence FILE]
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import Tile, held_out
from wsi_parse.files import write_text
from wsi_parse.models.mini.appearance import appearance_of
from wsi_parse.models.mini.facts import READ_MPP
from wsi_parse.tissue.samples import Sample

_SETTINGS = Path(__file__).with_name("train.yaml")
# In one small tile, the size of spots depends on few of them.
_PERCENT = {"strength": (1, 99), "white": (1, 99), "sharpness": (1, 99), "nuclear_area_um2": (5, 95)}
Ranges = dict[str, tuple[float, float]]


def learnt_ranges(settings: TrainingSettings, data: Path) -> Ranges:
    """Return the ranges of the tiles that classes are learnt from; a set without classes teaches none."""
    found = []
    for name, of_set in settings.sets.items():
        if of_set.share:
            tiles = read_set(name, of_set, data)
            out = held_out(tiles, of_set)
            teaching = [t for t in tiles if t.group not in out and (t.classes is not None or of_set.guess_classes)]
            found += [ranges_of(teaching)] if teaching else []
    return widest(found)


def ranges_of(tiles: Sequence[Tile]) -> Ranges:
    """Return the range of each number of some tiles, without the most unusual ones."""
    values: dict[str, list[float]] = {name: [] for name in _PERCENT}
    for tile in tiles:
        look = appearance_of([Sample.whole(tile.at(READ_MPP).image)])
        for name, of_name in values.items():
            of_name += np.atleast_1d(look[name]).tolist() if look[name] is not None else []
    ranges = {}
    for name, of_name in values.items():
        low, high = np.percentile(of_name, _PERCENT[name]).tolist()
        ranges[name] = (round(low, 3), round(high, 3))
    return ranges


def widest(ranges: Iterable[Ranges]) -> Ranges:
    """Return ranges that hold those of every set, so that a small set counts as much as a large one.

    >>> widest([{"strength": (0.2, 0.5)}, {"strength": (0.3, 0.9)}])
    {'strength': (0.2, 0.9)}
    """
    known = list(ranges)
    return {
        name: (min(one[name][0] for one in known), max(one[name][1] for one in known))
        for name in (known[0] if known else ())
    }


def main() -> None:
    """Print the ranges, or put them into a confidence.json."""
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini.learnt_ranges", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--settings", type=Path, default=_SETTINGS, help="YAML file; default: train.yaml")
    parser.add_argument("--confidence", type=Path, help="confidence.json whose ranges are to be replaced")
    given = parser.parse_args()
    ranges = learnt_ranges(TrainingSettings.load(given.settings), given.data)
    print(json.dumps(ranges, indent=1))
    if given.confidence:
        content = json.loads(given.confidence.read_text(encoding="utf-8"))
        write_text(given.confidence, json.dumps({**content, "learnt": ranges}, indent=1) + "\n")


if __name__ == "__main__":
    main()
