"""The figures as tables, and the places in a model card where they stand."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workflows.train_mini.calibrate import calibration_table
from workflows.train_mini.looked import looks
from wsi_parse.files import write_text
from wsi_parse.models.mini.card import figure as format_figure

# Pictures of the card; :mod:`workflows.train_mini.card` draws them.
_PRECISION_RECALL = "![Precision over recall of each class](../../../docs/mini_precision_recall.svg)"
_RELIABILITY = "![How often a class is right, by its probability](../../../docs/mini_reliability.svg)"


def print_figures(when: str, figures: dict[str, Any]) -> None:
    """Print the figures on held-out tiles, if there are any."""
    if figures["sets"]:
        print(f"\n{when}, on held-out tiles:\n\n{nuclei_table(figures)}")
    if any(_has_classes(one) for one in figures["sets"].values()):
        print(f"\n{class_table(figures)}")


def write_card(figures: dict[str, Any], card: Path) -> None:
    """Write the tables of the figures between the markers of a card; what was not measured stays as it is.

    Raises
    ------
    SystemExit
        If the card has no markers for a table.
    """
    text = card.read_text(encoding="utf-8")
    for name, (needs, table) in _TABLES.items():
        if not needs(figures):
            continue
        marked = f"<!-- {name} -->\n{table(figures)}\n<!-- end -->"
        before, *after = re.split(rf"<!-- {name} -->.*?<!-- end -->", text, flags=re.DOTALL)
        if len(after) != 1:
            raise SystemExit(f"{card.name} has no markers for the table {name!r}.")
        text = before + marked + after[0]
    write_text(card, text)


def _has_classes(figures: dict[str, Any]) -> bool:
    return "accuracy" in figures or "recall_neoplastic" in figures


def _format(figure: list[float] | None) -> str:
    return "" if figure is None else format_figure(figure)


def _whole(figure: list[float]) -> str:
    """Format a number that is no share, and its interval."""
    value, *limits = (f"{number:,.0f}" for number in figure)
    return f"{value} ({limits[0]}-{limits[1]})" if limits else value


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def nuclei_table(figures: dict[str, Any]) -> str:
    """Return the table for finding and outlining nuclei."""
    keys = ("dice", "f1", "precision", "recall", "pq")
    rows = [
        [name, str(one["tiles"]), f"{one['nuclei']:,}", *(_format(one.get(key)) for key in keys)]
        for name, one in figures["sets"].items()
        if any(key in one for key in keys)
    ]
    return _table(["set", "tiles", "nuclei", "Dice", "detection F1 (6 µm)", "precision", "recall", "PQ"], rows)


def class_table(figures: dict[str, Any]) -> str:
    """Return the table for classes."""
    names = {key.removeprefix("f1_") for one in figures["sets"].values() for key in one if key.startswith("f1_")}
    sets = {name: one for name, one in figures["sets"].items() if _has_classes(one)}
    rows = [(f"f1_{name}", f"F1 {name.replace('_', ' ')}") for name in sorted(names)]
    rows += [
        ("recall_neoplastic", "recall of neoplastic nuclei"),
        ("accuracy", "accuracy, of nuclei found"),
        ("accuracy_sure", "accuracy of nuclei with a sure class"),
        ("sure", "share of nuclei with a sure class"),
        ("tumour_called_inflammatory", "tumour called inflammatory, of nuclei found"),
        ("epithelial_called_neoplastic", "healthy epithelium called neoplastic, of nuclei found"),
        ("epithelial_called_neoplastic_surely", "… with a sure class"),
        ("not_tumour_called_neoplastic", "other nuclei of a tumour called neoplastic, of nuclei found"),
    ]
    told = [(key, words) for key, words in rows if any(key in one for one in sets.values())]
    return _table(["", *sets], [[words, *(_format(one.get(key)) for one in sets.values())] for key, words in told])


def folds_table(figures: dict[str, Any]) -> str:
    """Return the table of the five folds: mean, lowest and highest."""
    rows = [
        [name, key.replace("_", " "), f"{mean:.3f}", f"{low:.3f}-{high:.3f}"]
        for name, one in figures["folds"].items()
        for key, (mean, low, high) in one.items()
    ]
    return _table(["set", "figure", "mean of five networks", "lowest-highest"], rows)


def danger_table(figures: dict[str, Any]) -> str:
    """Return the table for normal tissue that is called neoplastic."""
    rows = [
        [f"{name}, {words}", _format(one[key]["called"]), _format(one[key]["surely"])]
        for name, one in figures["sets"].items()
        if "neoplastic" in one
        for key, words in (
            ("neoplastic", "at its pixel size"),
            ("neoplastic_at_wrong_scale", "at a pixel size 1.5 times too large"),
        )
    ]
    return _table(["nuclei of normal organs called neoplastic", "in all", "with a sure class"], rows)


def organs_table(figures: dict[str, Any]) -> str:
    """Return the table of each normal organ."""
    rows = [
        [organ, str(one["tiles"]), f"{one['nuclei']:,.0f}", _share(one["called"]), _share(one["surely"])]
        for of_set in figures["sets"].values()
        for organ, one in of_set.get("organs", {}).items()
    ]
    return _table(["organ", "tiles", "nuclei", "called neoplastic", "with a sure class"], rows)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def regions_table(figures: dict[str, Any]) -> str:
    """Return the table of whole regions: breast cancer with its tumour marked, and skin."""
    rows = [
        [name, _whole(one["neoplastic_per_mm2_inside"]), _whole(one["neoplastic_per_mm2_outside"]), ratio]
        for name, one in figures["sets"].items()
        if "inside_to_outside" in one
        for ratio in [", ".join(f"{number:.1f}" for number in one["inside_to_outside_of_each"])]
    ]
    table = _table(
        ["regions of breast cancer", "neoplastic per mm² inside of the tumour", "outside", "ratio of each region"], rows
    )
    skin = figures.get("skin")
    if skin is None:
        return table
    row = ["CMU-1-Small-Region", f"{skin['nuclei']:,}", _share(skin["called"]), _share(skin["surely"])]
    return f"{table}\n\n" + _table(["skin without tumour", "nuclei", "called neoplastic", "with a sure class"], [row])


def looks_table(figures: dict[str, Any]) -> str:
    """Return the table of tiles that were given the look of another set."""
    rows = [
        [one["set"], one["look"], one["figure"], *(_format(one[key]) for key in ("own", "changed")), _points(one)]
        for one in figures["looks"]
    ]
    return _table(["set", "given the look of", "figure", "as it is", "with that look", "difference, points"], rows)


def _points(one: dict[str, Any]) -> str:
    value, *limits = (f"{100 * number:+.1f}" for number in one["difference"])
    return f"{value} ({limits[0]} to {limits[1]})" if limits else value


def looked_table(_: dict[str, Any]) -> str:
    """Return the log of looks at held-out tiles."""
    return _table(["date", "weights", "command", "sets"], looks())


_Needs = Callable[[dict[str, Any]], bool]
_TABLES: dict[str, tuple[_Needs, Callable[[dict[str, Any]], str]]] = {
    "nuclei": (lambda _: True, nuclei_table),
    "classes": (lambda _: True, class_table),
    "folds": (lambda figures: "folds" in figures, folds_table),
    "curves": (lambda figures: "calibration" in figures, lambda _: _PRECISION_RECALL),
    "calibration": (
        lambda figures: "calibration" in figures,
        lambda figures: f"{calibration_table(figures['calibration'])}\n\n{_RELIABILITY}",
    ),
    "danger": (lambda _: True, danger_table),
    "organs": (lambda figures: any("organs" in one for one in figures["sets"].values()), organs_table),
    "regions": (lambda figures: any("inside_to_outside" in one for one in figures["sets"].values()), regions_table),
    "looks": (lambda figures: "looks" in figures, looks_table),
    "looked": (lambda _: bool(looks()), looked_table),
}
