"""Reading tiles, compared with decoding each stored tile once: `python -m benchmarks.reading [SLIDE] [--json]`.

Pixels per second of one core; pixels that tiles share count each time. If there is a coarser level near the requested
scale, that level is read. Limits: at least half the rate of decoding alone, and at most 1.3 decodes of each stored
tile on average.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openslide
import tifffile
from tiffslide import TiffSlide

from wsi_parse.geometry import Box
from wsi_parse.predict.tiles import TileGrid
from wsi_parse.slides import Slide, open_slide
from wsi_parse.synthetic import SyntheticSlide, write_svs_like

MIN_SHARE, MAX_DECODES = 0.5, 1.3
# The best of several rounds, because other load can only make a round slower.
ROUNDS = 3
TILE, OVERLAP, BLOCK = 1024, 0.125, 4
DECODE, OURS = "decode each stored tile once", "wsi-parse, blocks divided into tiles"


def decode_once(path: Path) -> float:
    """Decode every stored tile of level 0 once; return the number of pixels."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        decode, tables = page.decode, page.jpegtables
        for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            file.filehandle.seek(offset)
            decode(file.filehandle.read(count), index, jpegtables=tables)
        return float(page.imagewidth * page.imagelength)


def blocks(slide: Slide) -> Iterator[tuple[Box, list[Box]]]:
    """Yield the box that a block of tiles reads, and its tiles, at the scale of level 0."""
    grid = TileGrid.of(slide.frame(slide.pixel_size.x_um), TILE, OVERLAP, 1, BLOCK)
    rows, columns = grid.block_shape
    for index in ((row, column) for row in range(rows) for column in range(columns)):
        tiles = [grid.tile(*tile).read for tile in grid.tiles_of(index)]
        corners = (min(t.x for t in tiles), min(t.y for t in tiles), max(t.right for t in tiles))
        yield Box.from_corners(*corners, max(t.bottom for t in tiles)), tiles


def read_blocks(slide: Slide, mpp: float) -> float:
    """Read blocks, and at the scale of level 0 slice tiles in memory; return the pixels of tiles, or of the source."""
    frame, ratio = slide.frame(mpp), mpp / slide.pixel_size.x_um
    delivered = 0.0
    for around, tiles in blocks(slide):
        if ratio == 1:
            pixels = slide.read(around, frame)
            cut = [pixels[tile.relative_to(around).slices] for tile in tiles]
            delivered += sum(tile.size for tile in cut) / 3
        else:
            corners = (int(side / ratio) for side in (around.x, around.y, around.right, around.bottom))
            delivered += slide.read(Box.from_corners(*corners), frame).size / 3 * ratio**2
    return delivered


def per_tile(path: Path, slide: Slide, opened: Callable[[Path], object]) -> float:
    """Read each tile alone, as most programs do; return the number of pixels."""
    reader = opened(path)
    delivered = 0.0
    for _, tiles in blocks(slide):
        for tile in tiles:
            corner = (max(0, tile.x), max(0, tile.y))
            reader.read_region(corner, 0, (tile.width, tile.height)).convert("RGB")  # type: ignore[attr-defined]
            delivered += tile.area
    return delivered


def measured(path: Path, slide: Slide) -> tuple[dict[str, float], float, float]:
    """Return rates in Mpx per second of one core, decodes per stored tile, and the peak memory in MB."""
    mpp = slide.pixel_size.x_um
    tiles = slide._reader.tiles[0]  # type: ignore[attr-defined]
    ways: dict[str, Callable[[], float]] = {
        DECODE: lambda: decode_once(path),
        OURS: lambda: read_blocks(slide, mpp),
        "wsi-parse, at half the scale (source pixels)": lambda: read_blocks(slide, 2 * mpp),
        "wsi-parse, 2.02 times coarser (source pixels)": lambda: read_blocks(slide, 2.02 * mpp),
        "openslide, tile by tile": lambda: per_tile(path, slide, openslide.OpenSlide),
        "tiffslide, tile by tile": lambda: per_tile(path, slide, TiffSlide),
    }
    rates: dict[str, float] = {}
    decodes = peak_mb = 0.0
    for name, work in ways.items():
        rates[name] = 0.0
        for _ in range(ROUNDS):
            before, started = tiles.reads, time.process_time()
            pixels = work()
            rates[name] = max(rates[name], pixels / (time.process_time() - started) / 1e6)
        if name == OURS:
            decodes = (tiles.reads - before) / tiles.count
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return rates, decodes, peak_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", type=Path, help="a tiled JPEG slide; default: a synthetic one")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.slide or Path(folder) / "synthetic.svs"
        if chosen.slide is None:
            write_svs_like(path, SyntheticSlide(10_000, 8_000, seed=1))
        with open_slide(path) as slide:
            rates, decodes, peak_mb = measured(path, slide)
    share = rates[OURS] / rates[DECODE]
    if chosen.json:
        rounded = {name: round(rate, 1) for name, rate in rates.items()}
        numbers = {"share": round(share, 3), "decodes": round(decodes, 3), "peak_mb": round(peak_mb)}
        print(json.dumps({"mpx_per_second": rounded, **numbers}))
    else:
        for name, rate in rates.items():
            print(f"{rate:>7,.0f} Mpx/s  {rate / rates[DECODE]:>5.2f} x  {name}")
        print(f"{share:.2f} x decoding alone (limit {MIN_SHARE}); each stored tile decoded {decodes:.2f} times")
        print(f"(limit {MAX_DECODES}); peak memory {peak_mb:,.0f} MB, Python and libraries included")
    sys.exit(share < MIN_SHARE or decodes > MAX_DECODES)


if __name__ == "__main__":
    main()
