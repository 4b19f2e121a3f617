"""A picture of where two files disagree: the whole slide, and a close-up of the field with most disagreements."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from wsi_parse.evaluate.evaluation import Comparison
from wsi_parse.geometry import Box, Frame
from wsi_parse.pictures.ground import SlideGround
from wsi_parse.pictures.page_layout import Entry, assemble, draw_bar, heading_of, inset_frame, save, text_px
from wsi_parse.pictures.view import Canvas, View
from wsi_parse.prompts import Rgb

_LONGER_SIDE_PX, _MIN_SIDE_PX = 2000, 700
# Smaller objects are drawn as a tint.
_OUTLINED_PX = 5.0
# Number of typical objects along the shorter side of the close-up.
_OBJECTS_ACROSS = 14
_BACK: Rgb = (255, 255, 255)
_REGION: Rgb = (60, 65, 72)
# Colours that colour-blind people can also distinguish (Okabe and Ito).
_COLOURS: dict[str, Rgb] = {
    "agreed": (178, 182, 188),
    "reshaped": (0, 158, 115),
    "other class": (204, 101, 167),
    "missed": (0, 114, 178),
    "extra": (213, 94, 0),
}
# Weight of a disagreement in the tint, relative to an agreement.
_DISAGREEMENT_WEIGHT = 3.0
# On tissue, which is seen through the tint, and on which outlines have a seam.
_TINT, _HALO = 0.75, 170


@dataclass(frozen=True)
class _Group:
    """Outlines of objects with the same result: of the truth and, if they differ, of the prediction."""

    truth: NDArray[np.object_]
    pred: NDArray[np.object_]

    @property
    def shown(self) -> NDArray[np.object_]:
        """One outline per object."""
        return self.truth if len(self.truth) else self.pred


def draw_disagreements(comparison: Comparison, path: Path, ground: SlideGround | None = None) -> None:
    """Draw the objects of two files, coloured by how they agree.

    Parameters
    ----------
    comparison : Comparison
    path : Path
        A PNG, written atomically.
    ground : SlideGround, optional
        The slide, on which it is drawn; None: on white.

    Notes
    -----
    "missed" is in the truth only, "extra" in the prediction only; "reshaped" are objects that a reviewer redrew and
    that still match. Small objects are drawn as a tint, in which disagreements are three times as strong.
    """
    groups = _groups(comparison)
    view = _view(comparison, groups)
    field = _close_up_field(view, groups)
    canvas, picture = Canvas(view), _tinted(view, groups, _ground(view, ground), 1.0 if ground is None else _TINT)
    halo = 0 if ground is None else _HALO
    for name, group in groups.items():
        _draw(canvas, view, name, group, width_px=1.5 if halo else 1.0, least_px=_OUTLINED_PX, halo=halo)
    region = comparison.compared.region
    if region is not None:
        canvas.shapes(shapely.get_parts(region), _REGION, fill=0, width_px=2.0)
    known = comparison.compared.scale_um is not None
    picture = canvas.over(picture)
    size_px = text_px(view.box.width + (field.box.width if field else 0), view.box.height)
    if known:
        draw_bar(picture, view.frame.mpp_x, size_px)
    pictures = [picture]
    if field is not None:
        pictures.append(_close_up(field, groups, size_px, _ground(field, ground), halo=halo, known=known))
        inset_frame(picture, view.box_of(field), _REGION)
    entries = [Entry(f"{name} {len(group.shown):,}", _COLOURS[name]) for name, group in groups.items()]
    if field is not None:
        entries.append(Entry("close-up (thin lines: prediction)", _REGION, filled=False))
    save(assemble(pictures, entries, heading_of(comparison.name) if comparison.name else ())[0], path)


def _ground(view: View, ground: SlideGround | None) -> Image.Image:
    return Image.new("RGB", (view.box.width, view.box.height), _BACK) if ground is None else ground.picture(view)


def _groups(comparison: Comparison) -> dict[str, _Group]:
    compared, matched = comparison.compared, comparison.matched
    truth, pred = compared.truth, compared.pred
    missed, extra = truth.counted.copy(), pred.counted.copy()
    missed[matched.one] = extra[matched.other] = False
    same = compared.same_class(matched)
    redrawn = {item["id"] for item in comparison.review.reshaped} if comparison.review else set()
    reshaped = same & np.array([name in redrawn for name in pred.ids[matched.other].tolist()], bool)
    nothing = np.empty(0, object)

    def both(which: NDArray[np.bool_]) -> _Group:
        return _Group(truth.shapes[matched.one[which]], pred.shapes[matched.other[which]])

    # The last group is drawn on top.
    return {
        "agreed": _Group(truth.shapes[matched.one[same & ~reshaped]], nothing),
        "reshaped": both(reshaped),
        "other class": both(~same),
        "missed": _Group(truth.shapes[missed], nothing),
        "extra": _Group(nothing, pred.shapes[extra]),
    }


def _view(comparison: Comparison, groups: dict[str, _Group]) -> View:
    shapes = np.concatenate([shapes for group in groups.values() for shapes in (group.truth, group.pred)])
    if comparison.compared.region is not None:
        shapes = np.append(shapes, comparison.compared.region)
    low, high = np.zeros(2), np.ones(2)
    if len(shapes):
        bounds = shapely.total_bounds(shapes)
        low, high = bounds[:2], bounds[2:]
    # With a margin, and wide enough for the legend.
    size = np.maximum((high - low) * 1.02, 1.0)
    scale = float(size.max()) / _LONGER_SIDE_PX
    size = np.maximum(size, _MIN_SIDE_PX * scale)
    middle = (low + high) / 2
    return _view_around(comparison, middle, scale, math.ceil(size[0] / scale), math.ceil(size[1] / scale))


def _view_around(comparison: Comparison, middle: NDArray[np.float64], scale: float, width: int, height: int) -> View:
    mpp = comparison.compared.scale_um or (1.0, 1.0)
    x, y = np.floor(middle / scale - (width / 2, height / 2)).astype(int).tolist()
    frame = Frame(max(1, x + width), max(1, y + height), mpp[0] * scale, mpp[1] * scale, scale, scale)
    return View(frame, Box(x, y, width, height))


def _close_up_field(view: View, groups: dict[str, _Group]) -> View | None:
    """Choose the field with most disagreements; None if a close-up would not show more detail."""
    wrong = np.concatenate([group.shown for name, group in groups.items() if name != "agreed"])
    if not len(wrong):
        return None
    height = view.box.height
    width = min(max(round(0.5 * view.box.width), 500), 900)
    typical = float(np.median(np.sqrt(shapely.area(wrong))))
    scale = max(typical * _OBJECTS_ACROSS / min(width, height), view.frame.scale_x / 64)
    if scale * 1.5 > view.frame.scale_x:
        return None
    # Counts in quarters of a field; the field is the best block of four by four.
    step = np.array([width, height]) * scale / 4
    quarters = np.floor(shapely.get_coordinates(shapely.centroid(wrong)) / step).astype(np.int64)
    corner = quarters.min(axis=0) - 3
    columns, rows = (quarters.max(axis=0) - corner + 1).tolist()
    counts = np.bincount((quarters - corner) @ np.array([1, columns]), minlength=columns * rows).reshape(rows, columns)
    near = uniform_filter(counts.astype(np.float64), 4, mode="constant", origin=-2)
    row, column = np.unravel_index(int(np.argmax(near.round(6))), near.shape)
    middle = (corner + np.array([column, row]) + 2) * step
    x, y = np.floor(middle / scale - (width / 2, height / 2)).astype(int).tolist()
    mpp_x, mpp_y = (mpp / view.frame.scale_x * scale for mpp in (view.frame.mpp_x, view.frame.mpp_y))
    return View(Frame(max(1, x + width), max(1, y + height), mpp_x, mpp_y, scale, scale), Box(x, y, width, height))


def _tinted(view: View, groups: dict[str, _Group], ground: Image.Image, opacity: float) -> Image.Image:
    """Paint objects that are too small for outlines; each pixel takes the mean colour of the objects there."""
    height, width = view.box.height, view.box.width
    colour, weight = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for name, group in groups.items():
        shapes = group.shown
        shapes = shapes[_side_px(shapes, view) < _OUTLINED_PX]
        pixels = np.floor(view.pixels(shapely.get_coordinates(shapely.centroid(shapes)))).astype(np.int64)
        pixels = np.clip(pixels, 0, (width - 1, height - 1))
        counts = np.bincount(pixels @ np.array([1, width]), minlength=width * height).reshape(height, width)
        # Spread over 3 x 3 pixels, so that a single object is visible.
        here = uniform_filter(counts.astype(np.float32), 3, mode="constant") * (
            9 if name == "agreed" else 9 * _DISAGREEMENT_WEIGHT
        )
        colour += here[..., None] * np.array(_COLOURS[name], np.float32)
        weight += here
    cover = opacity * np.clip(weight, 0, 1)[..., None]
    mean = colour / np.maximum(weight, 1e-6)[..., None]
    return Image.fromarray((mean * cover + np.asarray(ground, np.float32) * (1 - cover)).astype(np.uint8))


def _close_up(
    field: View, groups: dict[str, _Group], size_px: int, ground: Image.Image, *, halo: int, known: bool
) -> Image.Image:
    canvas = Canvas(field)
    for name, group in groups.items():
        _draw(canvas, field, name, group, width_px=2.5, least_px=0, halo=halo)
    picture = canvas.over(ground)
    if known:
        draw_bar(picture, field.frame.mpp_x, size_px)
    return picture


def _draw(canvas: Canvas, view: View, name: str, group: _Group, *, width_px: float, least_px: float, halo: int) -> None:
    whole = name in ("missed", "extra")
    for shapes, width, fill in (
        (group.truth, width_px, 45),
        (group.pred, width_px if whole else width_px / 2, 45 * whole),
    ):
        visible = shapes[_side_px(shapes, view) >= least_px]
        visible = visible[view.shows(visible)]
        canvas.shapes(visible, _COLOURS[name], fill=fill, width_px=width, halo=halo)


def _side_px(shapes: NDArray[np.object_], view: View) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(shapely.area(shapes)) / view.frame.scale_x)
