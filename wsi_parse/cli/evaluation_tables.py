"""What `evaluate` shows in the terminal: sentences and tables of one comparison, or of the sum of several."""

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wsi_parse.text import for_terminal

if TYPE_CHECKING:
    from wsi_parse.evaluate import Evaluation
    from wsi_parse.evaluate.figures import Figures

_MAX_LINES = 8
# Rows of a table on the screen; the files hold all.
_MAX_ROWS = 40
# Of a table: a line with a space on both sides.
_BETWEEN_COLUMNS = 3
# Titles of the tables: of the rows, and of the columns.
_OBJECTS = ("objects", "truth", "pred", "error", "prec.", "recall", "F1", "centre F1")
_OUTLINES = ("outlines", "SQ", "PQ", "AJI", "Dice", "IoU", "area error")


def print_evaluation(one: "Evaluation", console: Console) -> None:
    """Print what a reviewer did, the tables of scores, and what was confused; of a file without objects its notes."""
    console.print(f"[bold]{escape(for_terminal(one.name))}[/bold]", highlight=False)
    if one.is_empty():
        for line in one.notes:
            console.print(for_terminal(line), highlight=False, markup=False, soft_wrap=True)
        console.print()
        return
    if one.review is not None:
        console.print(one.review.sentence, highlight=False, markup=False, soft_wrap=True)
    from wsi_parse.evaluate.tables import OBJECT_FIGURES, OUTLINE_FIGURES, largest_classes

    classes = largest_classes(one, _MAX_ROWS)
    for titles, keys in ((_OBJECTS, OBJECT_FIGURES), (_OUTLINES, OUTLINE_FIGURES)):
        console.print(_table(one, classes, console, titles, keys))
    more = len(one.classes) - len(classes)
    rest = [f"{more:,} more classes are in --out-json and --out-csv."] if more else []
    for line in (*rest, *_confused(one), *one.notes):
        console.print(for_terminal(line), highlight=False, markup=False, soft_wrap=True)
    console.print()


def _table(
    one: "Evaluation",
    classes: "dict[str, Figures]",
    console: Console,
    titles: tuple[str, ...],
    keys: tuple[str, ...],
) -> Table:
    """Return a table whose names are shortened where the screen is narrow, but never its numbers."""
    from wsi_parse.evaluate.tables import ALL

    rows = []
    for name, figures in [*classes.items(), (ALL, one.everything)]:
        values = figures.to_dict()
        rows.append((for_terminal(name), *(_number(key, values[key]) for key in keys)))
    columns = zip(*(row[1:] for row in (titles, *rows)), strict=True)
    widths = [max(map(len, column)) for column in columns]
    numbers = sum(widths) + _BETWEEN_COLUMNS * len(widths)
    # On a screen that is narrower than the numbers, the terminal breaks the lines.
    console.width = max(console.width, numbers + len(ALL))
    table = Table(show_edge=False, pad_edge=False)
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    for name, *values_shown in rows:
        table.add_row(escape(_shortened(name, console.width - numbers)), *values_shown)
    return table


def _shortened(name: str, width: int) -> str:
    """Shorten a name in its middle, because names of derived classes begin alike; `width` is in columns."""
    if cell_len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{set_cell_size(name, width - 1 - tail)}…{set_cell_size(name[::-1], tail)[::-1]}"


def _number(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key in ("truth", "pred"):
        return f"{value:,.0f}"
    return f"{value:+.2%}" if key.endswith("_error") else f"{value:.3f}"


def _confused(one: "Evaluation") -> list[str]:
    from wsi_parse.evaluate.evaluation import EXTRA, MISSED

    other = [
        (count, truth, pred)
        for (truth, pred), count in one.confusion.items()
        if truth != pred and truth != EXTRA and pred != MISSED
    ]
    missed = sum(count for (_, pred), count in one.confusion.items() if pred == MISSED)
    extra = sum(count for (truth, _), count in one.confusion.items() if truth == EXTRA)
    lines = [f"Missed {missed:,} · extra {extra:,} · other class {sum(count for count, *_ in other):,}"]
    lines += [f"  {truth} → {pred}: {count:,}" for count, truth, pred in sorted(other, reverse=True)[:_MAX_LINES]]
    return [*lines, *(["  …"] if len(other) > _MAX_LINES else [])]
