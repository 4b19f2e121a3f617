"""Page layout: pictures side by side on one page, with scale bars, a legend and the research-use notice."""

import math
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from wsi_parse.files import atomic
from wsi_parse.geometry import Box
from wsi_parse.prompts import Rgb
from wsi_parse.text import RESEARCH_ONLY, for_terminal

PAPER: Rgb = (252, 252, 251)
TEXT: Rgb = (38, 42, 48)
QUIET: Rgb = (120, 126, 134)
_LINE: Rgb = (205, 208, 212)
_STEPS = (1, 2, 5)
# Fitted to the screen of a laptop, a page is at most so wide and high; its letters are then at least so high.
_SCREEN_PX, _LETTERS_PX = (1366, 700), (14.5, 12.0)
_MIN_TEXT_PX = 13
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


def plain(text: str, instead: str = "class") -> str:
    """Fold a text to the characters that :func:`draw_text` can draw; a text without any becomes `instead`.

    >>> plain("cellules épithéliales 20/mm²"), plain("腺", "slide")
    ('cellules epitheliales 20/mm²', 'slide')
    """
    folded = (
        letter if letter in _COMPOSED else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        for letter in text
    )
    return "".join(folded).strip() or instead


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


def assemble(
    pictures: Sequence[Image.Image], entries: Sequence[Entry], heading: Sequence[str] = ()
) -> tuple[Image.Image, list[tuple[int, int]]]:
    """Lay pictures of one height side by side, below a heading and above a legend.

    Parameters
    ----------
    pictures : sequence of PIL images
    entries : sequence of Entry
        The legend.
    heading : sequence of str
        What the page shows, as :func:`heading_of` returns it; the first is the most important. Without it there is no
        heading.

    Returns
    -------
    (picture, list of (x, y))
        The page, and the position of each picture's corner on it.
    """
    inner = sum(picture.width for picture in pictures)
    height = pictures[0].height
    size_px = text_px(inner, height)
    margin = size_px
    # The notice is never cut.
    width = max(inner + margin * (len(pictures) + 1), text_width(RESEARCH_ONLY, size_px) + 2 * margin)
    above, below = (_rows(items, width - 2 * margin, size_px) for items in (_titles(heading), _legend(entries)))
    top = margin + len(above) * 2 * size_px
    page = Image.new("RGB", (width, top + height + margin + len(below) * 2 * size_px + size_px // 2), PAPER)
    draw, corners, x = ImageDraw.Draw(page), [], margin
    for picture in pictures:
        page.paste(picture, (x, top))
        draw.rectangle((x - 1, top - 1, x + picture.width, top + height), outline=_LINE)
        corners.append((x, top))
        x += picture.width + margin
    for number, row in enumerate(above):
        _draw_row(draw, row, margin, margin // 2 + number * 2 * size_px, size_px)
    for number, row in enumerate(below):
        _draw_row(draw, row, margin, top + height + margin + number * 2 * size_px + size_px // 2, size_px)
    return page, corners


def heading_of(slide_name: str, prompts: Sequence[str] = (), model: str = "") -> tuple[str, ...]:
    """Return the heading of a picture of a result: slide, prompts and model.

    >>> heading_of("a.svs", ["nuclei", "glands"], "mini")
    ('a.svs', 'prompts: nuclei, glands', 'model: mini')
    """
    words = [f"{'prompt' if len(prompts) == 1 else 'prompts'}: {', '.join(prompts)}"] if prompts else []
    return (plain(for_terminal(slide_name), "slide"), *words, *([f"model: {model}"] if model else []))


def text_px(width_px: int, height_px: int) -> int:
    """Return the size of letters for pictures of this size, so that they can be read when fitted to a laptop's screen.

    >>> text_px(1366, 700), text_px(2732, 1000), text_px(600, 4000)
    (15, 29, 24)
    """
    by_width, by_height = (
        math.ceil(letters * length / screen)
        for length, screen, letters in zip((width_px, height_px), _SCREEN_PX, _LETTERS_PX, strict=True)
    )
    # Below a narrow picture, a few words have to fit into a row.
    return max(_MIN_TEXT_PX, by_width, min(by_height, width_px // 25))


def save(page: Image.Image, path: Path) -> None:
    """Write a PNG atomically, with the notice in its text."""
    about = PngInfo()
    about.add_text("Comment", RESEARCH_ONLY)
    with atomic(path) as temporary:
        # Runs of one colour only: in a third to a half of the time, and of tissue 2 to 6 % larger.
        page.save(temporary, "PNG", compress_level=6, compress_type=zlib.Z_RLE, pnginfo=about)


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


@dataclass(frozen=True)
class _Item:
    """A piece of a row: text, with a swatch if it is of the legend."""

    text: str
    colour: Rgb = TEXT
    entry: Entry | None = None
    at_the_right: bool = False


def _titles(heading: Sequence[str]) -> list[_Item]:
    return [_Item(plain(for_terminal(text), "slide"), QUIET if number else TEXT) for number, text in enumerate(heading)]


def _legend(entries: Sequence[Entry]) -> list[_Item]:
    """Entries from the left, the notice at the end."""
    items = [_Item(plain(for_terminal(entry.text)), entry=entry) for entry in entries]
    return [*items, _Item(RESEARCH_ONLY, QUIET, at_the_right=True)]


_Row = list[tuple[int, _Item]]


def _rows(items: Sequence[_Item], width: int, size_px: int) -> list[_Row]:
    """Break items into rows; one that is longer than a row is shortened."""
    rows: list[_Row] = []
    x = width
    for item in items:
        swatch = round(1.5 * size_px) if item.entry else 0
        text = shortened(item.text, width - swatch, size_px)
        length = text_width(text, size_px) + swatch
        if not rows or x + length > width:
            rows.append([])
            x = 0
        rows[-1].append((width - length if item.at_the_right else x, replace(item, text=text)))
        x += length + 2 * size_px
    return rows


def shortened(text: str, width_px: int, size_px: int) -> str:
    """Shorten a text to a width in pixels, in its middle, because names often differ at their ends.

    >>> shortened("a name that is far too long.svs", 120, 13)
    'a name ...ng.svs'
    """
    kept = len(text)
    while kept and text_width(shown := text if kept == len(text) else _ends(text, kept), size_px) > width_px:
        kept -= max(1, round(0.5 * (text_width(shown, size_px) - width_px) / size_px))
    return text if kept == len(text) else _ends(text, max(0, kept))


def _ends(text: str, kept: int) -> str:
    return f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"


def _draw_row(draw: ImageDraw.ImageDraw, row: _Row, left: int, top: int, size_px: int) -> None:
    for x, item in row:
        start, entry = left + x, item.entry
        if entry is not None:
            box = (start, top + size_px // 8, start + size_px, top + size_px // 8 + size_px)
            draw.rounded_rectangle(
                box, size_px // 4, entry.colour if entry.filled else None, entry.colour, max(2, size_px // 9)
            )
            start += round(1.5 * size_px)
        draw_text(draw, (start, top + size_px // 8 + size_px // 2), item.text, item.colour, size_px, middle=True)
