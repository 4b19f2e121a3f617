"""Page layout: pictures side by side on one page, with scale bars, a legend and the research-use notice."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from wsi_parse.files import atomic
from wsi_parse.geometry import Box
from wsi_parse.prompts import Rgb
from wsi_parse.text import RESEARCH_ONLY

PAPER: Rgb = (252, 252, 251)
TEXT: Rgb = (38, 42, 48)
QUIET: Rgb = (120, 126, 134)
_LINE: Rgb = (205, 208, 212)
_STEPS = (1, 2, 5)
# Characters that the font lacks and :func:`draw_text` composes.
_COMPOSED = "µ²"


@dataclass(frozen=True)
class Entry:
    """A line of the legend.

    Parameters
    ----------
    text : str
    colour : (int, int, int)
    filled : bool
        Whether the swatch is filled; else it is an outline.
    """

    text: str
    colour: Rgb
    filled: bool = True


def desaturate(picture: Image.Image) -> Image.Image:
    """Return the picture paler and greyer, so that what is drawn on it stands out."""
    grey = picture.convert("L").convert("RGB")
    pale = [round(255 - 0.9 * (255 - value)) for value in range(256)]
    return Image.blend(picture, grey, 0.6).point(pale * 3)


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow; it has ASCII letters only."""
    return ImageFont.load_default(size_px)


def plain(text: str) -> str:
    """Fold a text to the characters that :func:`draw_text` can draw.

    >>> plain("cellules épithéliales 20/mm²")
    'cellules epitheliales 20/mm²'
    """
    folded = (
        letter if letter in _COMPOSED else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        for letter in text
    )
    return "".join(folded) or "class"


def draw_text(
    draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, colour: Rgb, size_px: int, *, middle: bool = False
) -> float:
    """Draw a line of text; the font lacks µ and ², so these are composed of other shapes.

    Parameters
    ----------
    draw : ImageDraw
    xy : (float, float)
        Left end of the baseline, or of the middle of the line.
    text : str
        As :func:`plain` returns it.
    colour : (int, int, int)
    size_px : int
    middle : bool
        Whether `xy` is in the middle of the line's height.

    Returns
    -------
    float
        x of the right end.
    """
    letters, small = font(size_px), font(max(1, round(0.62 * size_px)))
    x, y = xy
    if middle and isinstance(letters, ImageFont.FreeTypeFont):
        ascent, descent = letters.getmetrics()
        y += (ascent - descent) / 2
    for part in re.split(f"([{_COMPOSED}])", text):
        if part == "²":
            draw.text((x, y - 0.38 * size_px), "2", colour, small, anchor="ls")
            x += small.getlength("2")
            continue
        draw.text((x, y), "u" if part == "µ" else part, colour, letters, anchor="ls")
        if part == "µ":
            # A tail below the left stem; the fractions are those of the letter u in this font.
            left, stem = round(x) + round(size_px / 14), max(1, round(size_px / 11))
            draw.rectangle((left, y - size_px / 4, left + stem - 1, y + 0.22 * size_px), colour)
        x += letters.getlength("u" if part == "µ" else part)
    return x


def text_width(text: str, size_px: int) -> int:
    """Return the width of a text in pixels, rounded up."""
    return math.ceil(draw_text(ImageDraw.Draw(Image.new("RGB", (1, 1))), (0, 0), text, TEXT, size_px))


def bar_um(width_um: float) -> float:
    """Return a round length, at most a quarter of a width.

    >>> bar_um(2048.0), bar_um(260.0), bar_um(25_000.0)
    (500.0, 50.0, 5000.0)
    """
    wanted = max(width_um, 1e-3) / 4
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(step * power for step in _STEPS if step * power <= wanted)


def draw_bar(picture: Image.Image, mpp: float, size_px: int) -> None:
    """Draw a scale bar in the lower left corner."""
    length_um = bar_um(picture.width * mpp)
    text = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    length, pad, thick = round(length_um / mpp), size_px // 2, max(3, size_px // 6)
    left, bottom = pad * 2, picture.height - pad * 2
    right = left + max(length, text_width(text, size_px))
    draw = ImageDraw.Draw(picture, "RGBA")
    box = (left - pad, bottom - thick - size_px - round(1.4 * pad), right + pad, bottom + pad)
    draw.rounded_rectangle(box, pad // 2, (255, 255, 255, 215))
    draw.rectangle((left, bottom - thick, left + length, bottom), TEXT)
    draw_text(draw, (left, bottom - thick - round(0.8 * pad)), text, TEXT, size_px)


def assemble(pictures: Sequence[Image.Image], entries: Sequence[Entry]) -> tuple[Image.Image, list[tuple[int, int]]]:
    """Lay pictures of one height side by side above a legend.

    Returns
    -------
    (picture, list of (x, y))
        The page, and the position of each picture's corner on it.
    """
    inner = sum(picture.width for picture in pictures)
    size_px = text_px(inner)
    margin = size_px
    width = inner + margin * (len(pictures) + 1)
    rows = _rows(entries, width - 2 * margin, size_px)
    height = pictures[0].height
    page = Image.new("RGB", (width, height + 2 * margin + len(rows) * 2 * size_px + size_px // 2), PAPER)
    draw, corners, x = ImageDraw.Draw(page), [], margin
    for picture in pictures:
        page.paste(picture, (x, margin))
        draw.rectangle((x - 1, margin - 1, x + picture.width, margin + height), outline=_LINE)
        corners.append((x, margin))
        x += picture.width + margin
    for number, row in enumerate(rows):
        _draw_row(draw, row, margin, height + 2 * margin + number * 2 * size_px + size_px // 2, size_px)
    return page, corners


def text_px(width_px: int) -> int:
    """Return the size of letters for a page of this width."""
    return min(30, max(13, width_px // 96))


def save(page: Image.Image, path: Path) -> None:
    """Write a PNG atomically, with the notice in its text."""
    about = PngInfo()
    about.add_text("Comment", RESEARCH_ONLY)
    with atomic(path) as temporary:
        page.save(temporary, "PNG", compress_level=6, pnginfo=about)


def inset_frame(picture: Image.Image, box: Box, colour: Rgb) -> None:
    """Draw a frame with a white seam on a picture, to show where a close-up is.

    Parameters
    ----------
    picture : PIL image, RGB
        Changed in place.
    box : Box
        In pixels of the picture.
    colour : (int, int, int)
    """
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.rectangle((box.x - 2, box.y - 2, box.right + 2, box.bottom + 2), outline=(255, 255, 255, 200), width=6)
    draw.rectangle((box.x, box.y, box.right, box.bottom), outline=colour, width=2)


_Row = list[tuple[int, Entry | None, str]]


def _rows(entries: Sequence[Entry], width: int, size_px: int) -> list[_Row]:
    """Break the legend into rows: entries from the left, the notice at the end."""
    rows: list[_Row] = [[]]
    x = 0
    items: list[tuple[Entry | None, str]] = [*((entry, plain(entry.text)) for entry in entries), (None, RESEARCH_ONLY)]
    for entry, text in items:
        length = text_width(text, size_px) + (round(1.5 * size_px) if entry else 0)
        if x and x + length > width:
            rows.append([])
            x = 0
        rows[-1].append((width - length if entry is None else x, entry, text))
        x += length + 2 * size_px
    return rows


def _draw_row(draw: ImageDraw.ImageDraw, row: _Row, left: int, top: int, size_px: int) -> None:
    for x, entry, text in row:
        start = left + x
        if entry is not None:
            box = (start, top + size_px // 8, start + size_px, top + size_px // 8 + size_px)
            draw.rounded_rectangle(
                box, size_px // 4, entry.colour if entry.filled else None, entry.colour, max(2, size_px // 9)
            )
            start += round(1.5 * size_px)
        colour = TEXT if entry is not None else QUIET
        draw_text(draw, (start, top + size_px // 8 + size_px // 2), text, colour, size_px, middle=True)
