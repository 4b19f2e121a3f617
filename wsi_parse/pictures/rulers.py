"""Rulers: crops of dense tissue at several assumed pixel sizes, so that a person can see which one is right."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from wsi_parse.geometry import Box
from wsi_parse.pictures.page_layout import PAPER, QUIET, TEXT, draw_text, save, text_width
from wsi_parse.slides.slide import Slide
from wsi_parse.text import RESEARCH_ONLY
from wsi_parse.tissue.dense_fields import DenseField

ASSUMED_MPP = (0.25, 0.5, 1.0, 2.0)
HOW_TO_READ = (
    "A nucleus is usually 6 to 10 µm wide: take the row in which it fits the ruler of 10 µm, "
    "or a number between two rows."
)

# Every row shows microns equally large, so that the rulers are equal and the nuclei differ.
_PX_PER_UM = 4.0
_CROP_PX = (400, 240)
_CROPS = 3
_LETTERS_PX, _SMALL_PX, _GAP_PX, _LABEL_PX = 20, 16, 18, 176
_CHOSEN = (196, 92, 20)
_LINE = (205, 208, 212)


def draw_rulers(
    slide: Slide, fields: Sequence[DenseField], heading: str, nearest_mpp: float | None, path: Path
) -> None:
    """Draw a row of crops for each assumed pixel size, each with a ruler of 10 and one of 50 µm.

    Parameters
    ----------
    slide : Slide
    fields : sequence of DenseField
        The first three are shown, the same ones in every row.
    heading : str
        A sentence on the estimate.
    nearest_mpp : float or None
        The estimate: the row nearest to it is marked.
    path : Path
        A PNG, written atomically.
    """
    places = [field.densest_point() for field in fields[:_CROPS]]
    width = _LABEL_PX + len(places) * (_CROP_PX[0] + _GAP_PX) + _GAP_PX
    top = 2 * _GAP_PX + 3 * _LETTERS_PX
    height = top + len(ASSUMED_MPP) * (_CROP_PX[1] + _GAP_PX) + 2 * _SMALL_PX
    width = max(width, *(text_width(text, _LETTERS_PX) + 2 * _GAP_PX for text in (HOW_TO_READ, heading)))
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    draw_text(draw, (_GAP_PX, _GAP_PX + _LETTERS_PX), HOW_TO_READ, TEXT, _LETTERS_PX)
    draw_text(draw, (_GAP_PX, _GAP_PX + 2.5 * _LETTERS_PX), heading, QUIET, _LETTERS_PX)
    nearest = (
        None if nearest_mpp is None else min(ASSUMED_MPP, key=lambda mpp: max(mpp / nearest_mpp, nearest_mpp / mpp))
    )
    for number, mpp in enumerate(ASSUMED_MPP):
        y = top + number * (_CROP_PX[1] + _GAP_PX)
        _draw_label(draw, y, mpp, chosen=mpp == nearest)
        for column, place in enumerate(places):
            x = _LABEL_PX + _GAP_PX + column * (_CROP_PX[0] + _GAP_PX)
            page.paste(_crop(slide, place, mpp), (x, y))
            frame = (x - 1, y - 1, x + _CROP_PX[0], y + _CROP_PX[1])
            draw.rectangle(frame, outline=_LINE)
    draw_text(draw, (_GAP_PX, height - _SMALL_PX), RESEARCH_ONLY, QUIET, _SMALL_PX)
    save(page, path)


def _draw_label(draw: ImageDraw.ImageDraw, top: int, mpp: float, *, chosen: bool) -> None:
    middle = top + _CROP_PX[1] // 2
    draw_text(draw, (_GAP_PX, middle - _LETTERS_PX), f"{mpp:g} µm", TEXT, 2 * _LETTERS_PX)
    draw_text(draw, (_GAP_PX, middle + _SMALL_PX // 2), "per pixel", QUIET, _SMALL_PX)
    draw_text(draw, (_GAP_PX, middle + 2 * _SMALL_PX), f"--mpp {mpp:g}", QUIET, _SMALL_PX)
    if chosen:
        draw.rectangle((0, top, _GAP_PX // 3, top + _CROP_PX[1]), _CHOSEN)
        draw_text(draw, (_GAP_PX, top + _SMALL_PX), "nearest to the", _CHOSEN, _SMALL_PX)
        draw_text(draw, (_GAP_PX, top + 2.2 * _SMALL_PX), "estimate", _CHOSEN, _SMALL_PX)


def _crop(slide: Slide, middle_level0: tuple[int, int], mpp: float) -> Image.Image:
    """Enlarge the surroundings of a point so that microns have their size, and draw the rulers on them."""
    enlargement = mpp * _PX_PER_UM
    size = [length / enlargement for length in _CROP_PX]
    # Two pixels more on each side, because the enlargement looks at neighbours.
    left, top = (middle - length / 2 for middle, length in zip(middle_level0, size, strict=True))
    box = Box(int(left) - 2, int(top) - 2, int(size[0]) + 6, int(size[1]) + 6)
    x, y = left - box.x, top - box.y
    pixels = Image.fromarray(slide.read_readable(box).pixels)
    crop = pixels.resize(_CROP_PX, Image.Resampling.BICUBIC, box=(x, y, x + size[0], y + size[1]))
    _draw_ruler(crop, 50, _CROP_PX[1] - 12)
    _draw_ruler(crop, 10, _CROP_PX[1] - 44)
    return crop


def _draw_ruler(crop: Image.Image, length_um: int, bottom: int) -> None:
    """Draw a ruler with end ticks and its length, on a light plate."""
    draw = ImageDraw.Draw(crop, "RGBA")
    left, length, text = 14, round(length_um * _PX_PER_UM), f"{length_um} µm"
    right = left + length
    draw.rectangle((left - 6, bottom - 22, right + 12 + text_width(text, _SMALL_PX), bottom + 4), (255, 255, 255, 225))
    draw.rectangle((left, bottom - 11, right, bottom - 8), TEXT)
    for x in (left, right):
        draw.rectangle((x - 1, bottom - 18, x + 1, bottom - 1), TEXT)
    draw_text(draw, (right + 8, bottom - 9.5), text, TEXT, _SMALL_PX, middle=True)
