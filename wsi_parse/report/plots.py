"""Plots: distributions as SVG, drawn by matplotlib in colours that the page decides: they fit dark and light."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi_parse.report.histograms import Distribution
from wsi_parse.report.reference import Reference
from wsi_parse.report.svg import BAND, BAR, INK, LINE, MARK, PALE, as_svg, drawing, for_page, plain_axes

_SIZE_IN = (5.4, 2.5)
# Of the axes, as parts of the figure; the left one grows with the letters of the numbers there.
_LEFT, _LEFT_EACH, _RIGHT, _BOTTOM, _HEIGHT = 0.065, 0.016, 0.98, 0.2, 0.76
_MAX_BARS = 60


def area_plot(found: Distribution, references: Sequence[Reference], name: str) -> str:
    """Draw the distribution of areas over the ranges of references.

    Parameters
    ----------
    found : Distribution
    references : sequence of Reference
        Each has a band of its own, from the top, with its median.
    name : str
        Of this plot: letters and digits, put before each name in it, because a page holds several.

    Returns
    -------
    str
        An SVG element.
    """
    high = max(found.quantile(0.99) * 1.15, *(reference.high * 1.1 for reference in references), 20.0)
    return _plot(found, high, "area in µm²", references, None, name)


def probability_plot(found: Distribution, limit: float | None, name: str) -> str:
    """Draw the distribution of probabilities, with the limit below which a class is unsure, if there is one."""
    words = "probability of the class" if found.column == "class_probability" else "mean probability of the pixels"
    return _plot(found, 1.0, words, (), limit, name)


def _plot(
    found: Distribution, high: float, label: str, references: Sequence[Reference], limit: float | None, name: str
) -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    width = found.bin * max(1, round(high / found.bin / _MAX_BARS))
    bars = _rebinned(found, width, high)
    with drawing():
        figure = Figure(_SIZE_IN)
        most = max(1, bars.sum(axis=0).max(initial=0) * 1.08)
        left = _LEFT + _LEFT_EACH * len(f"{most:,.0f}")
        axes = plain_axes(figure, (left, _BOTTOM, _RIGHT - left, _HEIGHT))
        for number, reference in enumerate(references):
            bottom, top = 1 - (number + 1) / len(references), 1 - number / len(references)
            axes.axvspan(reference.low, reference.high, bottom, top, color=BAND, linewidth=0, zorder=0)
            axes.axvline(reference.median, bottom, top, color=MARK, dashes=(4, 2), linewidth=1.2, zorder=3)
        ends = np.arange(bars.shape[1] + 1) * width
        axes.stairs(bars.sum(axis=0), ends, fill=True, facecolor=PALE, edgecolor=BAR, linewidth=0.8, zorder=2)
        axes.stairs(bars[0], ends, fill=True, facecolor=BAR, linewidth=0, zorder=2)
        if limit is not None:
            axes.axvline(limit, color=MARK, dashes=(4, 2), linewidth=1.4, zorder=3)
        axes.set_xlim(0, high)
        axes.set_ylim(0, most)
        axes.set_xlabel(label, color=INK)
        axes.set_ylabel("objects", color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", color=LINE, linewidth=0.6, zorder=0)
        return for_page(as_svg(figure), name)


def _rebinned(found: Distribution, width: float, high: float) -> NDArray[np.int64]:
    """Put the bins of a distribution together, up to a value."""
    each = round(width / found.bin)
    wanted = round(high / found.bin) // each * each + each
    counts = found.counts[:, :wanted]
    counts = np.pad(counts, ((0, 0), (0, -counts.shape[1] % each)))
    return counts.reshape(2, -1, each).sum(axis=2)
