"""Damage to stored tiles of a TIFF, for tests."""

from pathlib import Path

import tifffile

from wsi_parse.geometry import Box


def damage(path: Path, *numbers: int, level: int = 0, share: float = 1.0) -> list[Box]:
    """Overwrite the ends of stored tiles with zeros; return their boxes in level-0 pixels."""
    with tifffile.TiffFile(path) as file:
        page = [page for page in file.pages if page.is_tiled][level]
        scale = file.pages[0].imagewidth // page.imagewidth
        across = -(-page.imagewidth // page.tilewidth)
        tile = page.tilewidth * scale, page.tilelength * scale
        whole = Box(0, 0, file.pages[0].imagewidth, file.pages[0].imagelength)
        stored = [(page.dataoffsets[number], page.databytecounts[number]) for number in numbers]
    with path.open("r+b") as opened:
        for offset, size in stored:
            start = int(size * (1 - share))
            opened.seek(offset + start)
            opened.write(bytes(size - start))
    corners = [(number % across * tile[0], number // across * tile[1]) for number in numbers]
    return [Box(x, y, *tile).intersection(whole) for x, y in corners]
