"""Measure what the tiles of a training look like, for confidence.json: on a slide outside of it, classes are less sure.

python -m workflows.train_mini.learnt_ranges DATA OUT [--confidence FILE]
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from workflows.train_mini.readers import read_set
from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import Tile
from wsi_parse.files import write_text
from wsi_parse.models.mini.appearance import appearance_of
from wsi_parse.models.mini.facts import READ_MPP
from wsi_parse.tissue.samples import Sample

# Percentiles between which a number lies. In one small tile, the size of spots depends on few of them.
_PERCENT = {"strength": (1, 99), "white": (1, 99), "sharpness": (1, 99), "nuclear_area_um2": (5, 95)}
# A network hardly learns the look of a set with a smaller share of the crops.
_LEAST_SHARE = 0.1
Ranges = dict[str, tuple[float, float]]


def learnt_ranges(data: Path, out: Path) -> Ranges:
    """Return the ranges of the tiles that a training learnt from.

    Parameters
    ----------
    data : Path
        Folder of the data sets.
    out : Path
        Folder of the training, where settings.json and data.json say what it learnt from.
    """
    noted = json.loads((out / "settings.json").read_text(encoding="utf-8"))
    groups = json.loads((out / "data.json").read_text(encoding="utf-8"))
    settings = TrainingSettings.model_validate({name: noted[name] for name in TrainingSettings.model_fields})
    found = []
    for name, of_set in settings.sets.items():
        if of_set.share >= _LEAST_SHARE:
            learnt = set(groups[name]["learnt"])
            found.append(ranges_of([tile for tile in read_set(name, of_set, data) if tile.group in learnt]))
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
    parser.add_argument("out", type=Path, help="folder of the training")
    parser.add_argument("--confidence", type=Path, help="confidence.json whose ranges are to be replaced")
    given = parser.parse_args()
    ranges = learnt_ranges(given.data, given.out)
    print(json.dumps(ranges, indent=1))
    if given.confidence:
        content = json.loads(given.confidence.read_text(encoding="utf-8"))
        write_text(given.confidence, json.dumps({**content, "learnt": ranges}, indent=1) + "\n")


if __name__ == "__main__":
    main()
