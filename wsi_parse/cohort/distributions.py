"""Distributions of a cohort: for each measure the slides of each group, as a table and as a drawing to save."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsi_parse.cohort.measures import Measure
from wsi_parse.cohort.outcome import Outcome
from wsi_parse.cohort.svg import (
    BAR,
    INK,
    LINE,
    MARK,
    PALE,
    as_pdf,
    as_svg,
    drawing,
    for_page,
    of_light_page,
    plain_axes,
)
from wsi_parse.report.numbers import short
from wsi_parse.text import for_terminal

#: Groups that are shown: those with most slides.
MAX_GROUPS = 24
_WIDTH_IN, _ROW_IN, _EDGE_IN = 6.4, 0.36, 0.62
_LABEL_PART = 0.24
_MAX_LABEL, _MAX_TITLE = 22, 60
# Points are spread over this part of their row, always in the same way.
_SPREAD = 0.3
_GOLDEN = 0.6180339887
# More points are paler, so that the box is seen through them.
_MANY = 60
# Slides farther from the box than so many times its width lie beyond the axis.
_FAR = 4.0


@dataclass(frozen=True)
class GroupRow:
    """A measure in one group, each slide once.

    Parameters
    ----------
    name : str
    values : list of float
    """

    name: str
    values: list[float]

    def quantile(self, part: float) -> float:
        """Return the value below which a part of the slides lies."""
        return float(np.quantile(self.values, part))


@dataclass(frozen=True)
class GroupedMeasure:
    """A measure, ready for the page.

    Parameters
    ----------
    measure : Measure
    rows : list of GroupRow
    svg : str
        An element of the page.
    files : dict of str to str
        Ending of a file -> the drawing as such a file, base64.
    """

    measure: Measure
    rows: list[GroupRow]
    svg: str
    files: dict[str, str]


def group_name(outcome: Outcome) -> str:
    """Return the name of the group of a slide."""
    return outcome.group or "(none)"


def grouped_measures(outcomes: Sequence[Outcome], measures: Sequence[Measure]) -> list[GroupedMeasure]:
    """Divide the measures that are plotted by group, and draw them."""
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    names = [group_name(outcome) for outcome in done]
    shown = sorted(sorted(set(names), key=lambda name: (-names.count(name), name))[:MAX_GROUPS])
    found = []
    for number, measure in enumerate(one for one in measures if one.is_plotted):
        rows = [GroupRow(name, _values(outcomes, measure, name)) for name in shown] if len(set(names)) > 1 else []
        rows.append(GroupRow("all slides", [*measure.values.values()]))
        rows = [row for row in rows if row.values]
        with drawing():
            svg = for_page(as_svg(_drawn(measure, rows, str)), f"d{number}")
            figure = _drawn(measure, rows, of_light_page)
            files = {"svg": _encoded(as_svg(figure).encode()), "pdf": _encoded(as_pdf(figure))}
        found.append(GroupedMeasure(measure, rows, svg, files))
    return found


def _values(outcomes: Sequence[Outcome], measure: Measure, name: str) -> list[float]:
    return [value for index, value in measure.values.items() if group_name(outcomes[index]) == name]


def _encoded(content: bytes) -> str:
    return b64encode(content).decode()


def _drawn(measure: Measure, rows: Sequence[GroupRow], shown: Callable[[str], str]) -> Any:  # noqa: ANN401 - a Figure
    """Draw a row for each group, from the top: its slides as points, median and interquartile range as a box."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    high = _end_of_axis(rows)
    height_in = len(rows) * _ROW_IN + _EDGE_IN
    figure = Figure((_WIDTH_IN, height_in))
    bottom = (_EDGE_IN - 0.08) / height_in
    axes = plain_axes(figure, (_LABEL_PART, bottom, 0.97 - _LABEL_PART, 1 - bottom - 0.08 / height_in), shown)
    for number, row in enumerate(rows):
        spread = ((np.arange(len(row.values)) * _GOLDEN) % 1 - 0.5) * 2 * _SPREAD
        values, at = np.array(row.values), number + spread
        far = values > high
        alpha = 0.75 if len(values) <= _MANY else 0.35
        axes.plot(values[~far], at[~far], "o", color=shown(BAR), markersize=5, alpha=alpha, markeredgewidth=0, zorder=2)
        axes.plot(np.full(far.sum(), high), at[far], ">", color=shown(MARK), markersize=6, clip_on=False, zorder=4)
        if len(row.values) > 2:
            left, right = row.quantile(0.25), row.quantile(0.75)
            axes.barh(number, right - left, 0.8, left, color=shown(PALE), linewidth=0, zorder=1)
            axes.barh(number, right - left, 0.8, left, fill=False, edgecolor=shown(MARK), linewidth=1.2, zorder=3)
        axes.plot([row.quantile(0.5)] * 2, [number - 0.4, number + 0.4], color=shown(MARK), linewidth=2, zorder=3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, high)
    axes.set_yticks(range(len(rows)), [_label(row.name, _MAX_LABEL) for row in rows], color=shown(INK))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %" if measure.is_share else short(value))
    axes.set_xlabel(_label(measure.title, _MAX_TITLE), color=shown(INK))
    axes.grid(axis="x", color=shown(LINE), linewidth=0.6, zorder=0)
    return figure


def _end_of_axis(rows: Sequence[GroupRow]) -> float:
    """Return where the axis ends: so that one slide far away does not press all others together."""
    most = max(max(row.values) for row in rows) * 1.04
    usual = max(row.quantile(0.75) + _FAR * (row.quantile(0.75) - row.quantile(0.25)) for row in rows)
    medians = max(row.quantile(0.5) for row in rows) * 1.5
    return max(min(most, max(usual, medians)), 1e-6)


def _label(name: str, most: int) -> str:
    shown = for_terminal(name)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
