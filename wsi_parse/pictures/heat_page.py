"""Heat maps as one picture: a panel with its own scale of colours for each of several maps, on the slide."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from wsi_parse.pictures.overlay import draw_tissue
from wsi_parse.pictures.page_layout import (
    PAPER,
    QUIET,
    TEXT,
    assemble,
    desaturate,
    draw_bar,
    draw_text,
    plain,
    save,
    shortened,
    text_px,
    text_width,
)
from wsi_parse.pictures.view import Canvas, View
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

_LONGER_SIDE_PX, _MIN_PANEL_PX = 2048, 480
_OPACITY = 0.8


@dataclass(frozen=True)
class HeatPanel:
    """One map.

    Parameters
    ----------
    title : str
    picture : PIL image, RGBA, or None
        The map, transparent where it says nothing; None if there is none.
    corners_level0 : float array (2, 2)
        Where the upper left and the lower right corner of the map lie, in level-0 pixels.
    ticks : (str, str, str)
        The numbers at the beginning, the middle and the end of the scale.
    """

    title: str
    picture: Image.Image | None
    corners_level0: NDArray[np.float64]
    ticks: tuple[str, str, str] = ("", "", "")


def draw_heat_maps(
    slide: Slide,
    tissue: TissueMask,
    panels: Sequence[HeatPanel],
    colours: NDArray[np.uint8],
    heading: Sequence[str],
    path: Path,
) -> None:
    """Draw maps side by side, in rows.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
        With a region of interest, the picture is of the region.
    panels : sequence of HeatPanel
        At least one.
    colours : uint8 array (N, 3)
        Of the scale, from its beginning to its end.
    heading : sequence of str
    path : Path
        A PNG, written atomically.
    """
    columns = math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    view = View.of_slide(slide, max(_MIN_PANEL_PX, _LONGER_SIDE_PX // columns), tissue.region)
    width, height = view.box.width, view.box.height
    size_px = text_px(columns * width, rows * height)
    step_x, step_y = max(width, 12 * size_px) + size_px, height + 4 * size_px
    sheet = Image.new("RGB", (columns * step_x - size_px, rows * step_y), PAPER)
    canvas = Canvas(view)
    draw_tissue(canvas, view, tissue)
    ground = desaturate(view.picture(slide))
    corners = tissue.frame.to_level0([(0, 0), (tissue.frame.width, tissue.frame.height)])
    opacity = _seen(view, Image.fromarray(tissue.tissue.astype(np.uint8) * round(255 * _OPACITY)), corners)
    for number, panel in enumerate(panels):
        picture = (
            ground
            if panel.picture is None
            else _over(ground, _seen(view, panel.picture, panel.corners_level0), opacity)
        )
        picture = canvas.over(picture)
        draw_bar(picture, view.frame.mpp_x, size_px)
        x, y = number % columns * step_x, number // columns * step_y
        sheet.paste(picture, (x, y))
        _draw_scale(sheet, (x, y + height), step_x - size_px, panel, colours, size_px)
    save(assemble([sheet], [], heading)[0], path)


def _seen(view: View, picture: Image.Image, corners_level0: NDArray[np.float64]) -> Image.Image:
    """Return the part of a map that a view shows, at the size of the view."""
    (left, top), (right, bottom) = view.pixels(corners_level0)
    per_px = np.array([picture.width / (right - left), picture.height / (bottom - top)])
    size = view.box.width, view.box.height
    ends = np.array([(0, 0), size]) - (left, top)
    box = np.clip(ends * per_px, 0, picture.size).ravel().tolist()
    return picture.resize(size, Image.Resampling.BILINEAR, box=(box[0], box[1], box[2], box[3]))


def _over(ground: Image.Image, layer: Image.Image, opacity: Image.Image) -> Image.Image:
    """Lay a map over the slide, on tissue only: its soft edge would reach over the glass."""
    layer.putalpha(ImageChops.multiply(layer.getchannel("A"), opacity))
    return Image.alpha_composite(ground.convert("RGBA"), layer).convert("RGB")


def _draw_scale(
    sheet: Image.Image,
    corner: tuple[int, int],
    width: int,
    panel: HeatPanel,
    colours: NDArray[np.uint8],
    size_px: int,
) -> None:
    """Draw the title below a panel, and its scale of colours with three numbers."""
    draw = ImageDraw.Draw(sheet)
    x, y = corner
    draw_text(draw, (x, y + 1.2 * size_px), shortened(plain(panel.title), width, size_px), TEXT, size_px)
    if panel.picture is None:
        draw_text(draw, (x, y + 2.6 * size_px), "no map: no objects, or too little tissue", QUIET, size_px)
        return
    length = min(width, 24 * size_px)
    bar = Image.fromarray(colours[None]).resize((length, round(0.6 * size_px)), Image.Resampling.BILINEAR)
    sheet.paste(bar, (x, y + round(1.6 * size_px)))
    for place, text in enumerate(panel.ticks):
        start = x + place / 2 * (length - text_width(text, size_px))
        draw_text(draw, (start, y + 3.2 * size_px), text, QUIET, size_px)
