"""Sheet: pictures side by side on one page, with scale bars and a legend that says what they are for."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from wsi_parse.files import atomic
from wsi_parse.notice import RESEARCH_ONLY
from wsi_parse.prompts import Rgb

PAPER: Rgb = (252, 252, 251)
TEXT: Rgb = (38, 42, 48)
QUIET: Rgb = (120, 126, 134)
_LINE: Rgb = (205, 208, 212)
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Entry:
    """A line of the legend.

    Parameters
    ----------
    words : str
    colour : (int, int, int)
    filled : bool
        Whether the swatch is filled, or an outline only.
    """

    words: str
    colour: Rgb
    filled: bool = True


def desaturate(picture: Image.Image) -> Image.Image:
    """Return the picture paler and greyer, so that what is drawn on it stands out."""
    grey = picture.convert("L").convert("RGB")
    pale = [round(255 - 0.9 * (255 - value)) for value in range(256)]
    return Image.blend(picture, grey, 0.6).point(pale * 3)


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow."""
    return ImageFont.load_default(size_px)


def plain(words: str) -> str:
    """Fold words to what the font can show.

    >>> plain("cellules épithéliales")
    'cellules epitheliales'
    """
    return unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode() or "class"


def bar_um(width_um: float) -> float:
    """Return a round length of about a fifth of a width.

    >>> bar_um(2048.0), bar_um(260.0), bar_um(25_000.0)
    (500.0, 50.0, 5000.0)
    """
    wanted = max(width_um, 1e-3) / 4
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(step * power for step in _STEPS if step * power <= wanted)


def draw_bar(picture: Image.Image, mpp: float, size_px: int) -> None:
    """Draw a scale bar into the lower left corner."""
    length_um = bar_um(picture.width * mpp)
    words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} um"
    length, pad, thick = round(length_um / mpp), size_px // 2, max(3, size_px // 6)
    letters = font(size_px)
    left, bottom = pad * 2, picture.height - pad * 2
    right = left + max(length, math.ceil(letters.getlength(words)))
    draw = ImageDraw.Draw(picture, "RGBA")
    box = (left - pad, bottom - thick - size_px - round(1.4 * pad), right + pad, bottom + pad)
    draw.rounded_rectangle(box, pad // 2, (255, 255, 255, 215))
    draw.rectangle((left, bottom - thick, left + length, bottom), TEXT)
    draw.text((left, bottom - thick - pad // 2), words, TEXT, letters, anchor="lb")


def assemble(pictures: Sequence[Image.Image], entries: Sequence[Entry]) -> tuple[Image.Image, list[tuple[int, int]]]:
    """Lay pictures of one height side by side above a legend.

    Returns
    -------
    (picture, list of (x, y))
        The page, and where each picture's corner is on it.
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
    """Return the size of letters on a page of a width."""
    return min(30, max(13, width_px // 96))


def save(page: Image.Image, path: Path) -> None:
    """Write a PNG whole or not at all."""
    with atomic(path) as temporary:
        page.save(temporary, "PNG", compress_level=6)


_Row = list[tuple[int, Entry | None, str]]


def _rows(entries: Sequence[Entry], width: int, size_px: int) -> list[_Row]:
    """Break the legend into rows: entries from the left, the notice at the end."""
    letters = font(size_px)
    rows: list[_Row] = [[]]
    x = 0
    items: list[tuple[Entry | None, str]] = [*((entry, plain(entry.words)) for entry in entries), (None, RESEARCH_ONLY)]
    for entry, words in items:
        length = math.ceil(letters.getlength(words)) + (round(1.5 * size_px) if entry else 0)
        if x and x + length > width:
            rows.append([])
            x = 0
        rows[-1].append((width - length if entry is None else x, entry, words))
        x += length + 2 * size_px
    return rows


def _draw_row(draw: ImageDraw.ImageDraw, row: _Row, left: int, top: int, size_px: int) -> None:
    letters = font(size_px)
    for x, entry, words in row:
        place = left + x
        if entry is not None:
            box = (place, top + size_px // 8, place + size_px, top + size_px // 8 + size_px)
            draw.rounded_rectangle(
                box, size_px // 4, entry.colour if entry.filled else None, entry.colour, max(2, size_px // 9)
            )
            place += round(1.5 * size_px)
        colour = TEXT if entry is not None else QUIET
        draw.text((place, top + size_px // 8 + size_px // 2), words, colour, letters, anchor="lm")
