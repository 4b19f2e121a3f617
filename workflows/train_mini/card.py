"""The figures of the model card: measured on held-out tiles, with intervals, as JSON and as tables."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflows.train_mini.measure import Scores, called, figures, score
from workflows.train_mini.tiles import Tile, scaled
from wsi_parse.files import file_sha256, write_text
from wsi_parse.models.mini.card import figure as format_figure
from wsi_parse.models.mini.network import MiniNetwork

_RESAMPLED = 1000
_PERCENT = (2.5, 97.5)
# A common mistake: 40x tiles with 0.17 µm/px are read as 0.25 µm/px.
_WRONG_SCALE = 0.25 / 0.17
# A figure from fewer groups has no interval.
_MIN_GROUPS = 2
Figure = dict[str, float]


def measure_all(network: MiniNetwork, kept: Sequence[Tile], normal: Collection[str], weights: Path) -> dict[str, Any]:
    """Measure every set; each figure with the 95 % interval of a bootstrap over groups.

    Parameters
    ----------
    network : MiniNetwork
        Fused.
    kept : sequence of Tile
        Held-out tiles.
    normal : collection of str
        Sets of normal tissue.
    weights : Path
        File of the network; its hash is stored with the figures.

    Returns
    -------
    dict
        For JSON.
    """
    sets: dict[str, Any] = {}
    for name in dict.fromkeys(tile.set_name for tile in kept):
        tiles = [tile for tile in kept if tile.set_name == name]
        scores = [score(network, tile) for tile in tiles]
        measured = {
            "groups": len({tile.group for tile in tiles}),
            "tiles": len(tiles),
            "nuclei": sum(len(one.known_class) for one in scores),
            **with_intervals(scores, figures),
        }
        if name in normal:
            measured |= {"neoplastic": with_intervals(scores, lambda some: called(some, "neoplastic"))}
            wrong = [score(network, scaled(tile, tile.mpp * _WRONG_SCALE)) for tile in tiles]
            measured |= {"neoplastic_at_wrong_scale": with_intervals(wrong, lambda some: called(some, "neoplastic"))}
        sets[name] = measured
    return {"weights_sha256": file_sha256(weights), "sets": sets}


def with_intervals(scores: Sequence[Scores], measure: Callable[[Sequence[Scores]], Figure]) -> dict[str, Any]:
    """Return each figure as [value, low, high]: percentiles over resampled groups (Efron, Ann Stat 7 (1979) 1).

    Only [value] if it comes from a single group: resampling that one would look like certainty.
    """
    groups: dict[str, list[Scores]] = {}
    for one in scores:
        groups.setdefault(one.tile.group, []).append(one)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_RESAMPLED):
        picked = rng.choice(list(groups), len(groups))
        drawn.append(measure([one for group in picked for one in groups[group]]))
    intervals = {}
    each = [measure(group) for group in groups.values()]
    for name, value in measure(scores).items():
        alone = sum(name in one for one in each) < _MIN_GROUPS
        seen = [figure[name] for figure in drawn if name in figure]
        limits = () if alone else tuple(np.percentile(seen, _PERCENT))
        intervals[name] = [round(float(number), 3) for number in (value, *limits)]
    return intervals


def write_figures(figures_: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    write_text(path, re.sub(r"\[\s+([^\[\]]*?)\s+\]", _one_line, json.dumps(figures_, indent=1)) + "\n")


def print_figures(when: str, figures_: dict[str, Any]) -> None:
    """Print the figures on held-out tiles, if there are any."""
    if figures_["sets"]:
        print(f"\n{when}, on held-out tiles:\n\n{nuclei_table(figures_)}")
    if any("accuracy" in one for one in figures_["sets"].values()):
        print(f"\n{class_table(figures_)}")


def _one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


def write_card(figures_: dict[str, Any], card: Path) -> None:
    """Write the tables of the figures between the markers of a card."""
    text = card.read_text(encoding="utf-8")
    for name, table in (
        ("nuclei", nuclei_table(figures_)),
        ("classes", class_table(figures_)),
        ("danger", danger_table(figures_)),
    ):
        marked = f"<!-- {name} -->\n{table}\n<!-- end -->"
        text, found = re.subn(rf"<!-- {name} -->.*?<!-- end -->", marked, text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"{card.name} has no markers for the table {name!r}.")
    write_text(card, text)


def _format(figure: list[float] | None) -> str:
    return "" if figure is None else format_figure(figure)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def nuclei_table(figures_: dict[str, Any]) -> str:
    """Return the table for finding and outlining nuclei."""
    rows = [
        [name, str(one["tiles"]), f"{one['nuclei']:,}", *(_format(one.get(key)) for key in ("dice", "f1", "pq"))]
        for name, one in figures_["sets"].items()
    ]
    return _table(["set", "tiles", "nuclei", "Dice", "detection F1 (6 µm)", "PQ"], rows)


def class_table(figures_: dict[str, Any]) -> str:
    """Return the table for classes."""
    names = {key.removeprefix("f1_") for one in figures_["sets"].values() for key in one if key.startswith("f1_")}
    sets = {name: one for name, one in figures_["sets"].items() if "accuracy" in one}
    rows = [[f"F1 {name}", *(_format(one.get(f"f1_{name}")) for one in sets.values())] for name in sorted(names)]
    rows += [
        [words, *(_format(one.get(key)) for one in sets.values())]
        for key, words in (
            ("recall_neoplastic", "recall of neoplastic nuclei"),
            ("accuracy", "accuracy, of nuclei found"),
            ("accuracy_sure", "accuracy of nuclei with a sure class"),
            ("sure", "share of nuclei with a sure class"),
        )
    ]
    return _table(["", *sets], rows)


def danger_table(figures_: dict[str, Any]) -> str:
    """Return the table for normal tissue that is called neoplastic."""
    rows = [
        [f"{name}, {words}", _format(one[key]["called"]), _format(one[key]["surely"])]
        for name, one in figures_["sets"].items()
        if "neoplastic" in one
        for key, words in (
            ("neoplastic", "at its pixel size"),
            ("neoplastic_at_wrong_scale", "at a pixel size 1.5 times too large"),
        )
    ]
    return _table(["nuclei of normal organs called neoplastic", "in all", "with probability 0.7 or more"], rows)
