"""Plots: distributions of areas and probabilities as drawings of a page, whose style sheet decides the colours.

They are written as SVG here, because importing matplotlib takes a third of a second, and drawing with it as long.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wsi_parse.report.histograms import Distribution
from wsi_parse.report.reference import Reference

_WIDTH, _HEIGHT = 388.8, 180.0
# The sides of the axes; the left one moves with the letters of the numbers there.
_LEFT, _LEFT_EACH, _RIGHT, _TOP, _BOTTOM = 25.3, 6.2, 381.0, 7.2, 144.0
_TICK, _BELOW_TICK, _BELOW_NUMBERS, _BESIDE_TICK, _HALF_LETTER, _NAME_X = 3.0, 13.3, 26.3, 6.5, 3.4, 13.6
_MAX_BARS, _MAX_TICKS_X, _MAX_TICKS_Y = 60, 9, 4
# Steps between ticks, in powers of ten.
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def area_plot(found: Distribution, references: Sequence[Reference]) -> str:
    """Draw the distribution of areas over the ranges of references.

    Parameters
    ----------
    found : Distribution
    references : sequence of Reference
        Each has a band of its own, from the top, with its median.

    Returns
    -------
    str
        An SVG element.
    """
    high = max(found.quantile(0.99) * 1.15, *(reference.high * 1.1 for reference in references), 20.0)
    return _plot(found, high, "area in µm²", references, None)


def probability_plot(found: Distribution, limit: float | None) -> str:
    """Draw the distribution of probabilities, with the limit below which a class is unsure, if there is one."""
    words = "probability of the class" if found.column == "class_probability" else "mean probability of the pixels"
    return _plot(found, 1.0, words, (), limit)


def _plot(found: Distribution, high: float, label: str, references: Sequence[Reference], limit: float | None) -> str:
    width = found.bin * max(1, round(high / found.bin / _MAX_BARS))
    bars = _rebinned(found, width, high)
    most = max(1.0, float(bars.sum(axis=0).max(initial=0)) * 1.08)
    left = _LEFT + _LEFT_EACH * len(f"{most:,.0f}")

    def x_of(value: float) -> float:
        return left + (_RIGHT - left) * min(value / high, 1.0)

    def y_of(count: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * count / most

    ends = [x_of(end) for end in (np.arange(bars.shape[1] + 1) * width).tolist()]
    whole, sure = (_stairs(ends, [y_of(count) for count in counts.tolist()]) for counts in (bars.sum(axis=0), bars[0]))
    each = (_BOTTOM - _TOP) / max(1, len(references))
    parts = [
        *(_band(reference, x_of, _TOP + number * each, each) for number, reference in enumerate(references)),
        *_numbered_lines(left, y_of, most),
        f'<path d="{whole}" fill="var(--bar-pale)" stroke="var(--bar)" stroke-width="0.8"/>',
        f'<path d="{sure}" fill="var(--bar)"/>',
        *_numbered_axis(left, x_of, high),
        *(_dashed(x_of(one.median), _TOP + number * each, each) for number, one in enumerate(references)),
        *([] if limit is None else [_dashed(x_of(limit), _TOP, _BOTTOM - _TOP)]),
        _text((left + _RIGHT) / 2, _BOTTOM + _BELOW_NUMBERS, label, "middle", "ink"),
        f'<g transform="translate({_NAME_X} {_n((_TOP + _BOTTOM) / 2)}) rotate(-90)">'
        f"{_text(0, 0, 'objects', 'middle', 'ink')}</g>",
    ]
    return f'<svg viewBox="0 0 {_n(_WIDTH)} {_n(_HEIGHT)}" font-size="9" aria-hidden="true">{"".join(parts)}</svg>'


def _band(reference: Reference, x_of: Callable[[float], float], top: float, height: float) -> str:
    x, right = x_of(reference.low), x_of(reference.high)
    return f'<path d="M{_n(x)} {_n(top)}H{_n(right)}v{_n(height)}H{_n(x)}Z" fill="var(--band)"/>'


def _dashed(x: float, top: float, height: float) -> str:
    line = f'd="M{_n(x)} {_n(top + height)}v{_n(-height)}"'
    return f'<path {line} stroke="var(--mark)" stroke-width="1.3" stroke-dasharray="5.2 2.6"/>'


def _stairs(ends: Sequence[float], tops: Sequence[float]) -> str:
    """Return the outline of bars as the data of a path."""
    steps = "".join(f"V{_n(top)}H{_n(end)}" for top, end in zip(tops, ends[1:], strict=True))
    return f"M{_n(ends[0])} {_n(_BOTTOM)}{steps}V{_n(_BOTTOM)}Z"


def _numbered_lines(left: float, y_of: Callable[[float], float], most: float) -> Iterator[str]:
    """Yield a line through the axes and its number, for each tick of the counts."""
    for count in ticks(most, _MAX_TICKS_Y, least_step=1.0):
        y = y_of(count)
        yield f'<path d="M{_n(left)} {_n(y)}H{_n(_RIGHT)}" stroke="var(--line)" stroke-width="0.6"/>'
        yield f'<path d="M{_n(left)} {_n(y)}h{_n(-_TICK)}" stroke="var(--quiet)" stroke-width="0.8"/>'
        yield _text(left - _BESIDE_TICK, y + _HALF_LETTER, f"{count:,.0f}", "end", "quiet")


def _numbered_axis(left: float, x_of: Callable[[float], float], high: float) -> Iterator[str]:
    """Yield the line below the axes, and each tick below it with its number."""
    yield f'<path d="M{_n(left)} {_n(_BOTTOM)}H{_n(_RIGHT)}" stroke="var(--quiet)" stroke-width="0.8"/>'
    for value in ticks(high, _MAX_TICKS_X):
        x = x_of(value)
        yield f'<path d="M{_n(x)} {_n(_BOTTOM)}v{_n(_TICK)}" stroke="var(--quiet)" stroke-width="0.8"/>'
        yield _text(x, _BOTTOM + _BELOW_TICK, f"{value:g}", "middle", "quiet")


def ticks(high: float, most: int, least_step: float = 0.0) -> list[float]:
    """Return even numbers from 0 up to `high`, at most `most` of them beside 0.

    >>> ticks(77.0, 8), ticks(1.0, 8), ticks(3.2, 4, least_step=1.0)
    ([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 1.0, 2.0, 3.0])
    """
    unit = 10.0 ** math.floor(math.log10(high / most))
    step = max(least_step, next(unit * step for step in _STEPS if high / (unit * step) < most + 1e-9))
    # Half a count is none.
    step = math.ceil(step) if least_step else step
    return [float(f"{number * step:.6g}") for number in range(int(high / step + 1e-9) + 1)]


def _text(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}" fill="var(--{colour})">{words}</text>'


def _n(value: float) -> str:
    return f"{round(value, 2) + 0.0:g}"


def _rebinned(found: Distribution, width: float, high: float) -> NDArray[np.int64]:
    """Put the bins of a distribution together, up to a value."""
    each = round(width / found.bin)
    wanted = round(high / found.bin) // each * each + each
    counts = found.counts[:, :wanted]
    counts = np.pad(counts, ((0, 0), (0, -counts.shape[1] % each)))
    return counts.reshape(2, -1, each).sum(axis=2)
