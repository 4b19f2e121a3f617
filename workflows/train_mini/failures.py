"""Pictures of the most dangerous failure: tiles of normal tissue with the most nuclei called neoplastic."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import find_boundaries

from workflows.train_mini.figures import called
from workflows.train_mini.measure import Found, Scores
from wsi_parse.models.mini.facts import CLASS_OF, CLASSES, READ_MPP
from wsi_parse.prompts import TARGETS

_ZOOM, _SHOWN, _ROW, _MIN_NUCLEI = 3, 6, 3, 15
_COLOURS = {CLASS_OF[target.name]: target.colour for target in TARGETS if target.name in CLASS_OF}
_OTHER = (120, 120, 120)
_BAR_UM = 20.0


def draw_failures(scores: Sequence[Scores], path: Path) -> None:
    """Draw the worst tiles, outlines in the colours of QuPath's classes (neoplastic: red); small tiles are left out.

    Parameters
    ----------
    scores : sequence of Scores
        Of tiles of normal tissue.
    path : Path
        A JPEG or PNG; nothing is written if there is no tile to show.
    """
    shares = [(one, called([one], "neoplastic")) for one in scores]
    shares = [(one, share) for one, share in shares if share["nuclei"] >= _MIN_NUCLEI]
    worst = sorted(shares, key=lambda pair: -pair[1]["called"])[:_SHOWN]
    if not worst:
        return
    rows, columns = -(-len(worst) // _ROW), min(len(worst), _ROW)
    figure = Figure((3.6 * columns, 3.8 * rows + 0.4), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes, (one, share) in zip(panels, worst, strict=False):
        axes.imshow(outlined(one.tile.at(READ_MPP).image, one.found), interpolation="nearest")
        number, nuclei = round(share["called"] * share["nuclei"]), round(share["nuclei"])
        axes.set_title(f"{one.tile.group or one.tile.name}: {number} of {nuclei}", fontsize="small")
        _scale_bar(axes)
    for axes in panels:
        axes.set_axis_off()
    handles = [Line2D([], [], color=_rgb(name), linewidth=3, label=name) for name in CLASSES]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(CLASSES), frameon=False)
    figure.savefig(path, dpi=110)


def outlined(image: NDArray[np.uint8], found: Found) -> NDArray[np.uint8]:
    """Draw the outline of each nucleus in the colour of its class, enlarged three times.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
        At the read scale.
    found : Found
    """
    colours = np.array([_COLOURS.get(name, _OTHER) for name in CLASSES], np.uint8)
    of_nucleus = np.vstack([np.zeros((1, 3), np.uint8), colours[found.classes]])
    large = found.labels.repeat(_ZOOM, 0).repeat(_ZOOM, 1)
    edge = ndimage.binary_dilation(find_boundaries(large, mode="inner")) & (large > 0)
    picture = image.repeat(_ZOOM, 0).repeat(_ZOOM, 1)
    picture[edge] = of_nucleus[large[edge]]
    return picture


def _scale_bar(axes: Axes) -> None:
    """Draw a bar of 20 µm into the lower left corner, white on black."""
    length, height = _BAR_UM / READ_MPP * _ZOOM, axes.get_ylim()[0]
    for colour, width in (("black", 5.0), ("white", 2.5)):
        axes.add_line(Line2D([10, 10 + length], [height - 12] * 2, color=colour, linewidth=width))
    box = {"facecolor": "black", "edgecolor": "none", "pad": 1}
    style: dict[str, Any] = {"color": "white", "fontsize": "x-small", "ha": "center", "va": "bottom", "bbox": box}
    axes.text(10 + length / 2, height - 22, f"{_BAR_UM:g} µm", **style)


def _rgb(name: str) -> tuple[float, float, float]:
    red, green, blue = _COLOURS.get(name, _OTHER)
    return red / 255, green / 255, blue / 255
