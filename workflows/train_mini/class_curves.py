"""Curves of each class and set: how reliable its probability is, and precision over recall."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workflows.train_mini.figures import is_judged, is_right, told_apart
from workflows.train_mini.measure import Scores
from workflows.train_mini.tiles import EITHER
from wsi_parse.models.mini.facts import CLASSES

# Told apart by people who do not see all colours (Okabe and Ito), and by their marks.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKS = ("o", "s", "^", "D", "v", "P")
_BINS = np.linspace(0.2, 1.0, 9)
# A point of a curve stands for at least so many nuclei.
_MIN_NUCLEI = 20
_MOST_POINTS = 200
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def reliability(scores: Sequence[Scores], index: int) -> Curve:
    """Return mean probability and share that is right, of nuclei called a class, in steps of probability."""
    confidence, right = _judged(scores, index)
    points = []
    for low, high in pairwise(_BINS):
        here = (confidence >= low) & ((confidence < high) | (high == _BINS[-1]))
        if here.sum() >= _MIN_NUCLEI:
            points.append((confidence[here].mean(), right[here].mean()))
    return _columns(points)


def _judged(scores: Sequence[Scores], index: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    confidence, right = [np.empty(0)], [np.empty(0, bool)]
    for s in scores:
        found, known = s.paired_classes()
        here = is_judged(found, known) & (found == index)
        confidence.append(s.confidence[s.pairs[:, 0]][here])
        right.append(is_right(found, known)[here])
    return np.concatenate(confidence), np.concatenate(right)


def precision_recall(scores: Sequence[Scores], members: Sequence[int]) -> Curve:
    """Return recall and precision of a class, or of several as one, from the surest nuclei to all of them.

    As in F1: a nucleus that was found but does not exist counts against precision, one that was not found against
    recall.
    """
    truths = (*members, EITHER) if len(members) > 1 else tuple(members)
    confidence, hit = [np.empty(0)], [np.empty(0, bool)]
    for s in scores:
        found, known = s.paired_classes()
        as_it = np.isin(s.found_class, members)
        hits = np.zeros(len(as_it), bool)
        hits[s.pairs[:, 0]] = np.isin(known, truths)
        as_it[s.pairs[:, 0]] &= is_judged(found, known)
        confidence.append(s.confidence[as_it])
        hit.append(hits[as_it])
    total = sum(int(np.isin(s.known_class, truths).sum()) for s in scores)
    order = np.argsort(-np.concatenate(confidence), kind="stable")
    right = np.cumsum(np.concatenate(hit)[order])
    number = np.arange(1, len(right) + 1)
    if len(right) < _MIN_NUCLEI:
        return np.empty(0), np.empty(0)
    shown = np.unique(np.linspace(_MIN_NUCLEI - 1, len(right) - 1, _MOST_POINTS).astype(int))
    return right[shown] / max(1, total), right[shown] / number[shown]


def draw_reliability(of_sets: Mapping[str, Sequence[Scores]], path: Path) -> None:
    """Draw the reliability of each class, a line for each set.

    Parameters
    ----------
    of_sets : dict of set name to sequence of Scores
    path : Path
        An SVG or PNG.
    """

    def one(axes: Axes, name: str, scores: Sequence[Scores], style: dict[str, Any]) -> bool:
        x, y = reliability(scores, CLASSES.index(name))
        axes.plot(x, y, **style)
        return len(x) > 0

    figure, panels = _panels(of_sets, one, "probability of the class", "share that is right")
    for axes in panels:
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        axes.axhline(0.9, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    _save(figure, path)


def draw_precision_recall(of_sets: Mapping[str, Sequence[Scores]], path: Path) -> None:
    """Draw precision over recall of each class, a line for each set; "neoplastic" may be neoplastic or epithelial."""

    def one(axes: Axes, name: str, scores: Sequence[Scores], style: dict[str, Any]) -> bool:
        members = told_apart(scores).get(name)
        if members is None and name == "neoplastic":
            members = told_apart(scores)["neoplastic_or_epithelial"]
        if members is None or not all(s.counted for s in scores):
            return False
        x, y = precision_recall(scores, members)
        if not x.any():
            return False
        axes.plot(x, y, **style, markevery=[-1])
        return True

    figure, _ = _panels(of_sets, one, "recall", "precision")
    _save(figure, path)


def _panels(
    of_sets: Mapping[str, Sequence[Scores]],
    draw: Callable[[Axes, str, Sequence[Scores], dict[str, Any]], bool],
    x: str,
    y: str,
) -> tuple[Figure, list[Axes]]:
    """Draw a panel for each class; only sets with at least one curve stand in the legend."""
    figure = Figure((11, 2.9), layout="constrained")
    panels = list(figure.subplots(1, len(CLASSES), sharey=True))
    drawn: dict[str, dict[str, Any]] = {}
    for axes, name in zip(panels, CLASSES, strict=True):
        for number, (set_name, scores) in enumerate(of_sets.items()):
            style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKS[number % len(_MARKS)], "markersize": 4}
            if draw(axes, name, scores, {**style, "linewidth": 1.4}):
                drawn[set_name] = style
        axes.set(title=name, xlabel=x, xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel(y)
    for set_name, style in drawn.items():
        panels[-1].plot([], [], label=set_name, **style)
    figure.legend(loc="outside right center", fontsize="small", frameon=False)
    return figure, panels


def _columns(points: list[tuple[float, float]]) -> Curve:
    x, y = np.array(points).reshape(-1, 2).T
    return x, y


def _save(figure: Figure, path: Path) -> None:
    # Without a date the same figures make the same file.
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
