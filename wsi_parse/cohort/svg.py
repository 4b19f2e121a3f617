"""Drawings of matplotlib: on a page in colours that the page decides, as files in colours of their own."""

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import Any

# Colours that no class has, each put in the place of a variable of the style sheet; in files, those of a light page.
_COLOURS = {
    "#010203": ("ink", "#1f242b"),
    "#010204": ("quiet", "#59626d"),
    "#010205": ("line", "#d9dde2"),
    "#010206": ("bar", "#3b6ea5"),
    "#010207": ("bar-pale", "#c3d5ea"),
    "#010208": ("mark", "#a3480a"),
}
INK, QUIET, LINE, BAR, PALE, MARK = _COLOURS
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wsi-parse",
    "font.size": 9,
    "text.usetex": False,
    "text.parse_math": False,
}
# matplotlib keeps its settings in one place for the whole process; slides of a cohort are drawn at the same time.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def drawing() -> Iterator[None]:
    """Let one thread draw, without what a user has set for other plots."""
    import matplotlib

    with _ONE_AT_A_TIME, matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        # Letters stay text, and the browser has fonts for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def of_light_page(colour: str) -> str:
    """Return what stands for one of the colours of a page in files.

    >>> of_light_page(INK)
    '#1f242b'
    """
    return _COLOURS[colour][1]


def plain_axes(
    figure: Any,  # noqa: ANN401 - matplotlib's Figure
    box: tuple[float, float, float, float],
    shown: Callable[[str], str] = str,
) -> Any:  # noqa: ANN401 - matplotlib's Axes
    """Add axes without a frame; `box` is left, bottom, width and height as parts of the figure.

    `shown` tells what stands for a colour: itself on a page, and :func:`of_light_page` in files.
    """
    axes = figure.add_axes(box)
    axes.tick_params(colors=shown(QUIET), length=3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(shown(QUIET))
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    return axes


def as_svg(figure: Any) -> str:  # noqa: ANN401 - matplotlib's Figure
    """Save a figure as the text of an SVG file that holds no date, with the placeholders of the colours."""
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = re.sub(r"<metadata>.*?</metadata>", "", text.getvalue(), flags=re.DOTALL)
    # Points to a hundredth of a point: of a thousand slides, they are most of the text.
    return re.sub(r' ([xy]="-?\d+\.\d\d)\d+"', r' \1"', svg)


def as_pdf(figure: Any) -> bytes:  # noqa: ANN401 - matplotlib's Figure
    """Save a figure as a PDF file that holds no date; letters that its font lacks are boxes."""
    content = BytesIO()
    nothing = {"Creator": None, "Producer": None, "CreationDate": None}
    figure.savefig(content, format="pdf", transparent=True, metadata=nothing)
    return content.getvalue()


def for_page(svg: str, name: str) -> str:
    """Make a drawing an element of a page.

    Parameters
    ----------
    svg : str
        As :func:`as_svg` returns it.
    name : str
        Of this drawing: letters and digits, put before each name in it, because a page holds several.
    """
    head, rest = svg[svg.index("<svg") :].split(">", 1)
    for placeholder, (variable, _) in _COLOURS.items():
        rest = rest.replace(f": {placeholder}", f": var(--{variable})")
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', rest))
    rest = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", rest)
    rest = re.sub(r'(href="|url\()#([\w-]+)', rf"\1#{name}-\2", rest)
    box = head.split('viewBox="', 1)[1].split('"', 1)[0]
    return f'<svg viewBox="{box}" aria-hidden="true">{rest}'.strip()
