"""Plots: distributions as SVG, drawn by matplotlib in colours that the page decides: they fit dark and light."""

import re
import threading
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.report.histograms import Distribution
from wsi_parse.report.reference import Reference

_SIZE_IN = (5.4, 2.5)
# Left, bottom, width and height of the axes, as parts of the figure.
_AXES = (0.12, 0.2, 0.86, 0.76)
# Colours that no class has, each put in the place of a variable of the style sheet.
_VARIABLES = {
    "#010203": "var(--ink)",
    "#010204": "var(--quiet)",
    "#010205": "var(--line)",
    "#010206": "var(--bar)",
    "#010207": "var(--bar-pale)",
    "#010208": "var(--band)",
    "#010209": "var(--mark)",
}
_INK, _QUIET, _LINE, _BAR, _PALE, _BAND, _MARK = _VARIABLES
# matplotlib keeps its settings in one place for the whole process; slides of a cohort are drawn at the same time.
_ONE_AT_A_TIME = threading.Lock()
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
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    width = found.bin * max(1, round(high / found.bin / _MAX_BARS))
    bars = _rebinned(found, width, high)
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "wsi-parse", "font.size": 9, "text.usetex": False}
    with _ONE_AT_A_TIME, matplotlib.rc_context():
        # Without what a user has set for other plots.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        figure = Figure(_SIZE_IN)
        axes = figure.add_axes(_AXES)
        for number, reference in enumerate(references):
            bottom, top = 1 - (number + 1) / len(references), 1 - number / len(references)
            axes.axvspan(reference.low, reference.high, bottom, top, color=_BAND, linewidth=0, zorder=0)
            axes.axvline(reference.median, bottom, top, color=_MARK, dashes=(4, 2), linewidth=1.2, zorder=3)
        ends = np.arange(bars.shape[1] + 1) * width
        axes.stairs(bars.sum(axis=0), ends, fill=True, facecolor=_PALE, edgecolor=_BAR, linewidth=0.8, zorder=2)
        axes.stairs(bars[0], ends, fill=True, facecolor=_BAR, linewidth=0, zorder=2)
        if limit is not None:
            axes.axvline(limit, color=_MARK, dashes=(4, 2), linewidth=1.4, zorder=3)
        axes.set_xlim(0, high)
        axes.set_ylim(0, max(1, bars.sum(axis=0).max(initial=0) * 1.08))
        axes.set_xlabel(label, color=_INK)
        axes.set_ylabel("objects", color=_INK)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(colors=_QUIET, length=3)
        axes.grid(axis="y", color=_LINE, linewidth=0.6, zorder=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_QUIET)
        axes.set_axisbelow(True)
        axes.patch.set_visible(False)
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(text.getvalue(), name)


def _rebinned(found: Distribution, width: float, high: float) -> NDArray[np.int64]:
    """Put the bins of a distribution together, up to a value."""
    each = round(width / found.bin)
    wanted = round(high / found.bin) // each * each + each
    counts = found.counts[:, :wanted]
    counts = np.pad(counts, ((0, 0), (0, -counts.shape[1] % each)))
    return counts.reshape(2, -1, each).sum(axis=2)


def _for_page(svg: str, name: str) -> str:
    """Take the element out of the file; let the page decide the colours, and make the names in it unique."""
    text = svg[svg.index("<svg") :]
    head, rest = text.split(">", 1)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        rest = rest.replace(colour, variable)
    used = set(re.findall(r"#([\w-]+)", rest))
    rest = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", rest)
    rest = re.sub(r"#([\w-]+)(?=[\")])", rf"#{name}-\1", rest)
    box = head.split('viewBox="', 1)[1].split('"', 1)[0]
    return f'<svg viewBox="{box}" aria-hidden="true">{rest}'.strip()
