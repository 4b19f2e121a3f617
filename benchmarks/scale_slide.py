"""A slide of any size with cells of one exact hue at known positions; written in bands with constant memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

NUCLEUS, TISSUE, WHITE = (np.array(colour, np.float32) for colour in ((90, 40, 160), (235, 190, 215), (244, 244, 244)))
MPP = 0.25
TILE = 512
Form = Literal["svs", "tiff", "ome", "strips"]
#: The ending of the name of each form.
ENDINGS: dict[Form, str] = {"svs": ".svs", "tiff": ".tif", "ome": ".ome.tif", "strips": "-strips.tif"}
_UM_PER_CM = 10_000
_LEVELS = (1, 4, 16)
# One cell in each square of this size, moved from the middle by at most this, so that no two cells touch.
_SPACING, _JITTER = 96, 30.0
_RADII = (7.0, 14.0)
_MARGIN = 1024


@dataclass(frozen=True)
class ScaleSlide:
    """Ellipses on a jittered lattice.

    Parameters
    ----------
    side : int
        In pixels.
    seed : int
    """

    side: int
    seed: int = 0

    @property
    def _lattice(self) -> int:
        return (self.side - 2 * _MARGIN) // _SPACING

    def cells(self, row: int) -> NDArray[np.float64]:
        """Return the cells of a row of the lattice: (columns, 4) of x, y, and half-axes along x and y, in pixels."""
        rng = np.random.default_rng([self.seed, row])
        count = self._lattice
        middle = _MARGIN + (np.stack([np.arange(count), np.full(count, row)], 1) + 0.5) * _SPACING
        return np.hstack([middle + rng.uniform(-_JITTER, _JITTER, (count, 2)), rng.uniform(*_RADII, (count, 2))])

    def truth(self) -> NDArray[np.float64]:
        """Return all cells (N, 4)."""
        return np.concatenate([self.cells(row) for row in range(self._lattice)])

    def band(self, top: int, height: int) -> NDArray[np.uint8]:
        """Return a mask of nuclei (height, side) from row `top` on: 0 or 255."""
        band = np.zeros((height, self.side), np.uint8)
        first = max(0, (top - _MARGIN) // _SPACING - 1)
        last = min(self._lattice, (top + height - _MARGIN) // _SPACING + 2)
        for row in range(first, last):
            for x, y, a, b in self.cells(row).tolist():
                left, low = int(x - a), max(0, int(y - b) - top)
                right, high = int(x + a) + 1, min(height, int(y + b) + 1 - top)
                if low < high:
                    # A pixel is inside if its middle is.
                    across = ((np.arange(left, right) + (0.5 - x)) / a) ** 2
                    down = ((np.arange(low, high) + (0.5 + top - y)) / b) ** 2
                    band[low:high, left:right][down[:, None] + across <= 1] = 255
        return band

    def coloured(self, share: NDArray[np.uint8], left: int, top: int, scale: int) -> NDArray[np.uint8]:
        """Return the colours of a tile at a level."""
        rows, columns = (np.arange(size) * scale + start for size, start in zip(share.shape, (top, left), strict=True))
        first, last = _MARGIN // 2, self.side - _MARGIN // 2
        tissue = ((rows >= first) & (rows < last))[:, None] & ((columns >= first) & (columns < last))[None]
        table = (TISSUE + np.linspace(0, 1, 256, dtype=np.float32)[:, None] * (NUCLEUS - TISSUE)).round()
        pixels = table.astype(np.uint8)[share]
        pixels[~tissue] = WHITE.astype(np.uint8)
        return pixels


def write(slide: ScaleSlide, path: Path, tile: int = TILE, form: Form = "svs") -> None:
    """Write a slide.

    Parameters
    ----------
    slide : ScaleSlide
    path : Path
    tile : int
        Side of the stored tiles in pixels; strips have this many rows.
    form : {"svs", "tiff", "ome", "strips"}
        An Aperio-style SVS, a TIFF without a vendor, an OME-TIFF, each with three levels and JPEG tiles; or a TIFF
        with one level in strips, which are not JPEG, so that they hold the exact colours.
    """
    kept = np.zeros((-(-slide.side // _LEVELS[1]),) * 2, np.uint8)
    text = f"Aperio Image Library v11.2.1\n{slide.side}x{slide.side}|AppMag = 40|MPP = {MPP}"
    jpeg = {"subsampling": (1, 1), "compression": "jpeg", "compressionargs": {"level": 92}}
    with tifffile.TiffWriter(path, bigtiff=True, ome=form == "ome") as tiff:
        for level in _LEVELS[: 1 if form == "strips" else None]:
            size = slide.side // level
            options: dict[str, Any] = {"metadata": None, "subfiletype": int(level > 1)}
            resolution = {"resolution": (_UM_PER_CM / (MPP * level),) * 2, "resolutionunit": "CENTIMETER"}
            if form == "svs" and level == 1:
                options["description"] = text
            elif form in ("tiff", "strips"):
                options |= resolution
            elif form == "ome" and level == 1:
                sizes = {
                    f"PhysicalSize{axis}{unit}": said for axis in "XY" for unit, said in (("", MPP), ("Unit", "µm"))
                }
                options = {"subifds": len(_LEVELS) - 1, "metadata": {"axes": "YXS", **sizes}}
            pixels: Iterator[NDArray[np.uint8] | bytes]
            if form == "strips":
                pixels = (_strip(slide, top, tile) for top in range(0, size, tile))
                options |= {"rowsperstrip": tile, "compression": "zstd"}
            else:
                pixels = _finest(slide, kept, tile) if level == 1 else _reduced(slide, kept, level, tile)
                options |= {"tile": (tile, tile), **jpeg}
            tiff.write(pixels, shape=(size, size, 3), dtype=np.uint8, photometric="rgb", **options)


def _strip(slide: ScaleSlide, top: int, rows: int) -> bytes:
    """Return a strip as it is stored: tifffile takes whole pictures one after another, but no pixels of strips."""
    pixels = slide.coloured(slide.band(top, min(rows, slide.side - top)), 0, top, 1)
    return bytes(imagecodecs.zstd_encode(pixels.tobytes()))


def _finest(slide: ScaleSlide, kept: NDArray[np.uint8], tile: int) -> Iterator[NDArray[np.uint8]]:
    """Yield tiles of level 0, and keep a reduced copy for the next levels."""
    factor = _LEVELS[1]
    for top in range(0, slide.side, tile):
        band = slide.band(top, tile)
        small = np.asarray(Image.fromarray(band).reduce(factor))
        rows = min(small.shape[0], kept.shape[0] - top // factor)
        kept[top // factor : top // factor + rows, : small.shape[1]] = small[:rows]
        for left in range(0, slide.side, tile):
            yield slide.coloured(_padded(band[:, left : left + tile], tile), left, top, 1)


def _reduced(slide: ScaleSlide, kept: NDArray[np.uint8], level: int, tile: int) -> Iterator[NDArray[np.uint8]]:
    share = np.asarray(Image.fromarray(kept).reduce(level // _LEVELS[1])) if level > _LEVELS[1] else kept
    size = slide.side // level
    for top in range(0, size, tile):
        for left in range(0, size, tile):
            part = _padded(share[top : top + tile, left : left + tile], tile)
            yield slide.coloured(part, left * level, top * level, level)


def _padded(part: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    return np.pad(part, ((0, tile - part.shape[0]), (0, tile - part.shape[1])))
