"""95 % intervals of figures: a bootstrap over groups (patients, fields, organs), never over nuclei."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from workflows.train_mini.measure import Scores

RESAMPLED = 1000
_PERCENT = (2.5, 97.5)
# A figure from fewer groups has no interval.
_MIN_GROUPS = 2
Figure = dict[str, float]
Item = TypeVar("Item")


def with_intervals(scores: Sequence[Scores], measure: Callable[[Sequence[Scores]], Figure]) -> dict[str, Any]:
    """Return each figure as [value, low, high]: percentiles over resampled groups (Efron, Ann Stat 7 (1979) 1).

    Only [value] if it comes from a single group: resampling that one would look like certainty.
    """
    return intervals_of(scores, measure, lambda one: one.tile.group)


def intervals_of(
    items: Sequence[Item], measure: Callable[[Sequence[Item]], Figure], group_of: Callable[[Item], str]
) -> dict[str, Any]:
    """Return the figures of any items with their intervals; see :func:`with_intervals`."""
    groups: dict[str, list[Item]] = {}
    for one in items:
        groups.setdefault(group_of(one), []).append(one)
    rng = np.random.default_rng(0)
    names = list(groups)
    drawn = []
    for _ in range(RESAMPLED):
        picked = rng.choice(len(names), len(names))
        drawn.append(measure([one for number in picked for one in groups[names[number]]]))
    intervals = {}
    each = [measure(group) for group in groups.values()]
    for name, value in measure(items).items():
        alone = sum(name in one for one in each) < _MIN_GROUPS
        seen = np.array([figure[name] for figure in drawn if name in figure])
        intervals[name] = [round(float(number), 3) for number in (value, *(() if alone else limits(seen)))]
    return intervals


def limits(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of resampled values."""
    low, high = np.percentile(drawn, _PERCENT)
    return float(low), float(high)
