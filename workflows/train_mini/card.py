"""The figures of the model card: measured on tiles never trained on, with intervals, as JSON and as tables."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workflows.train_mini.measure import Scores, called, figures, score
from workflows.train_mini.tiles import Tile, scaled
from wsi_parse.files import file_sha256, write_text
from wsi_parse.models.mini.card import share
from wsi_parse.models.mini.network import MiniNetwork

_RESAMPLED = 1000
_PERCENT = (2.5, 97.5)
# A common mistake: 40x tiles of 0.17 um/px taken for 0.25.
_WRONG_SCALE = 0.25 / 0.17
# A figure that fewer groups tell has no interval.
_MIN_GROUPS = 2
Figure = dict[str, float]


def measure_all(network: MiniNetwork, kept: Sequence[Tile], normal: Collection[str], weights: Path) -> dict[str, Any]:
    """Measure every set; each figure with the 95 % interval of a bootstrap over groups.

    Parameters
    ----------
    network : MiniNetwork
        Fused.
    kept : sequence of Tile
        Never trained on.
    normal : collection of str
        Sets of normal tissue.
    weights : Path
        File the network was loaded from: its hash ties the figures to it.

    Returns
    -------
    dict
        JSON-able.
    """
    sets: dict[str, Any] = {}
    for name in dict.fromkeys(tile.set_name for tile in kept):
        tiles = [tile for tile in kept if tile.set_name == name]
        scores = [score(network, tile) for tile in tiles]
        told = {
            "groups": len({tile.group for tile in tiles}),
            "tiles": len(tiles),
            "nuclei": sum(len(one.known_class) for one in scores),
            **with_intervals(scores, figures),
        }
        if name in normal:
            told |= {"neoplastic": with_intervals(scores, lambda some: called(some, "neoplastic"))}
            wrong = [score(network, scaled(tile, tile.mpp * _WRONG_SCALE)) for tile in tiles]
            told |= {"neoplastic_at_wrong_scale": with_intervals(wrong, lambda some: called(some, "neoplastic"))}
        sets[name] = told
    return {"weights_sha256": file_sha256(weights), "sets": sets}


def with_intervals(scores: Sequence[Scores], measure: Callable[[Sequence[Scores]], Figure]) -> dict[str, Any]:
    """Each figure as [value, low, high]: percentiles over resampled groups (Efron, Ann Stat 7 (1979) 1).

    Only [value] where a single group tells it: drawing that one again and again would look like certainty.
    """
    groups: dict[str, list[Scores]] = {}
    for one in scores:
        groups.setdefault(one.tile.group, []).append(one)
    dice = np.random.default_rng(0)
    drawn = []
    for _ in range(_RESAMPLED):
        picked = dice.choice(list(groups), len(groups))
        drawn.append(measure([one for group in picked for one in groups[group]]))
    told = {}
    each = [measure(group) for group in groups.values()]
    for name, value in measure(scores).items():
        alone = sum(name in one for one in each) < _MIN_GROUPS
        seen = [figure[name] for figure in drawn if name in figure]
        limits = () if alone else tuple(np.percentile(seen, _PERCENT))
        told[name] = [round(float(number), 3) for number in (value, *limits)]
    return told


def write_figures(figures_: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    write_text(path, re.sub(r"\[\s+([^\[\]]*?)\s+\]", _one_line, json.dumps(figures_, indent=1)) + "\n")


def print_figures(when: str, figures_: dict[str, Any]) -> None:
    """Show the figures on tiles never trained on; nothing where all were learnt from."""
    if figures_["sets"]:
        print(f"\n{when}, on tiles never trained on:\n\n{nuclei_table(figures_)}")
    if any("accuracy" in told for told in figures_["sets"].values()):
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
            raise SystemExit(f"{card.name} has no place marked for the table {name!r}.")
    write_text(card, text)


def _said(figure: list[float] | None) -> str:
    return "" if figure is None else share(figure)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def nuclei_table(figures_: dict[str, Any]) -> str:
    """Finding and outlining nuclei."""
    rows = [
        [name, str(told["tiles"]), f"{told['nuclei']:,}", *(_said(told.get(key)) for key in ("dice", "f1", "pq"))]
        for name, told in figures_["sets"].items()
    ]
    return _table(["set", "tiles", "nuclei", "Dice", "detection F1 (6 µm)", "PQ"], rows)


def class_table(figures_: dict[str, Any]) -> str:
    """Telling classes apart."""
    names = {key.removeprefix("f1_") for told in figures_["sets"].values() for key in told if key.startswith("f1_")}
    sets = {name: told for name, told in figures_["sets"].items() if "accuracy" in told}
    rows = [[f"F1 {name}", *(_said(told.get(f"f1_{name}")) for told in sets.values())] for name in sorted(names)]
    rows += [
        [words, *(_said(told.get(key)) for told in sets.values())]
        for key, words in (
            ("recall_neoplastic", "recall of neoplastic nuclei"),
            ("accuracy", "accuracy, of nuclei found"),
            ("accuracy_sure", "accuracy of those it is sure of"),
            ("sure", "share it is sure of"),
        )
    ]
    return _table(["", *sets], rows)


def danger_table(figures_: dict[str, Any]) -> str:
    """Normal tissue called neoplastic."""
    rows = [
        [f"{name}, {words}", _said(told[key]["called"]), _said(told[key]["surely"])]
        for name, told in figures_["sets"].items()
        if "neoplastic" in told
        for key, words in (
            ("neoplastic", "at its pixel size"),
            ("neoplastic_at_wrong_scale", "told one 1.5 times as large"),
        )
    ]
    return _table(["nuclei of normal organs called neoplastic", "in all", "with probability 0.7 or more"], rows)
