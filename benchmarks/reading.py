"""Reading the blocks of a run, against decoding each stored tile once: `python -m benchmarks.reading [SLIDE] [--json]`.

Pixels of the source per second of one core, at the slide's own scale, at half of it, and 2.02 times coarser; where a
coarser level is near that scale, it is read, and its pixels count. Limits: the shares of the rate of decoding alone,
and the decodes of each stored tile, below.
"""

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import openslide
import tifffile
from tiffslide import TiffSlide

from benchmarks import limits
from wsi_parse.geometry import Box
from wsi_parse.predict.tiles import Selection, TileGrid
from wsi_parse.slides import Slide, open_slide
from wsi_parse.slides.bands import boxes_across, shared_in_bands
from wsi_parse.slides.lattice import Shared
from wsi_parse.synthetic import SyntheticSlide, write_svs_like

# At most so many decodes of each stored tile; at least these shares of the rate of decoding, by how much coarser.
MAX_DECODES = 1.1
MIN_SHARES = {1.0: 0.7, 2.0: 0.55, 2.02: 0.25}
# The best of several rounds, because other load can only make a round slower.
ROUNDS = 3
TILE, OVERLAP, BLOCK = 512, 0.125, 4
DECODE = "decode each stored tile once"


def decode_once(path: Path) -> float:
    """Decode every stored tile of level 0 once; return the number of pixels."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        decode, tables = page.decode, page.jpegtables
        for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            file.filehandle.seek(offset)
            decode(file.filehandle.read(count), index, jpegtables=tables)
        return float(page.imagewidth * page.imagelength)


def blocks(slide: Slide, grid: TileGrid) -> Iterator[tuple[Box, list[Box], Shared]]:
    """Yield the box that a block of tiles reads, its tiles, and what others need of it, in the order of a run."""
    chosen = Selection(grid, np.ones(grid.shape, bool))
    across = boxes_across(slide, grid.block_px, grid.overlap_px, grid.frame)
    for block in chosen.in_bands(chosen.blocks(), across):
        tiles = [grid.tile(*index).read for index in grid.tiles_of(block)]
        around = Box.from_corners(tiles[0].x, tiles[0].y, tiles[-1].right, tiles[-1].bottom)
        yield around, tiles, shared_in_bands(slide, block[1], grid.block_px, grid.overlap_px, grid.frame)


def grid_of(slide: Slide, coarser: float) -> TileGrid:
    return TileGrid.of(slide.frame(slide.pixel_size.x_um * coarser), TILE, OVERLAP, 1, BLOCK)


def read_blocks(slide: Slide, coarser: float, update: Callable[[bytes], object] | None = None) -> float:
    """Read all blocks, and give them to a hash; return the pixels of the level that is read."""
    grid = grid_of(slide, coarser)
    for around, _, shared in blocks(slide, grid):
        pixels = slide.read_readable(around, grid.frame, shared).pixels
        if update is not None:
            update(pixels.tobytes())
    return float(slide.info.levels[slide.level_for(grid.frame)].box.area)


def per_tile(path: Path, slide: Slide, opened: Callable[[Path], object]) -> float:
    """Read each tile alone, as most programs do; return the number of pixels."""
    reader = opened(path)
    delivered = 0.0
    for _, tiles, _ in blocks(slide, grid_of(slide, 1.0)):
        for tile in tiles:
            corner = (max(0, tile.x), max(0, tile.y))
            reader.read_region(corner, 0, (tile.width, tile.height)).convert("RGB")  # type: ignore[attr-defined]
            delivered += tile.area
    return delivered


def measured(path: Path, slide: Slide) -> tuple[dict[str, float], dict[float, float], dict[float, str], float]:
    """Return rates in Mpx per second of one core; by scale, decodes of each stored tile and hashes; the peak in MB."""
    ways: dict[str, Callable[[], float]] = {
        DECODE: lambda: decode_once(path),
        **{ours(coarser): partial(read_blocks, slide, coarser) for coarser in MIN_SHARES},
        "openslide, tile by tile": lambda: per_tile(path, slide, openslide.OpenSlide),
        "tiffslide, tile by tile": lambda: per_tile(path, slide, TiffSlide),
    }
    rates: dict[str, float] = dict.fromkeys(ways, 0.0)
    decodes, hashes, peak_mb = {}, {}, 0.0
    for name, work in ways.items():
        for _ in range(ROUNDS):
            started = time.process_time()
            pixels = work()
            rates[name] = max(rates[name], pixels / (time.process_time() - started) / 1e6)
        if name == ours(max(MIN_SHARES)):
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for coarser in MIN_SHARES:
        # Again on a fresh slide, of which nothing is in memory.
        with open_slide(path) as fresh:
            tiles = fresh._reader.tiles[fresh.level_for(grid_of(fresh, coarser).frame)]  # type: ignore[attr-defined]
            tiles._cache.clear()
            before = tiles.reads
            digest = hashlib.sha256()
            read_blocks(fresh, coarser, digest.update)
            decodes[coarser] = (tiles.reads - before) / tiles.count
            hashes[coarser] = digest.hexdigest()
    return rates, decodes, hashes, peak_mb


def ours(coarser: float) -> str:
    return f"wsi-parse, blocks, {coarser:g} times coarser"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", type=Path, help="a tiled JPEG slide; default: a synthetic one")
    parser.add_argument("--side", type=int, default=10_000, help="width of the synthetic one, in pixels")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.slide or Path(folder) / "synthetic.svs"
        if chosen.slide is None:
            write_svs_like(path, SyntheticSlide(chosen.side, chosen.side * 4 // 5, seed=1))
        with open_slide(path) as slide:
            rates, decodes, hashes, peak_mb = measured(path, slide)
    shares = {coarser: rates[ours(coarser)] / rates[DECODE] for coarser in MIN_SHARES}
    if chosen.json:
        rounded = {name: round(rate, 1) for name, rate in rates.items()}
        numbers = {"shares": shares, "decodes": decodes, "outputs_sha256": hashes, "peak_mb": round(peak_mb)}
        print(json.dumps({"mpx_per_second": rounded, **numbers}))
    else:
        for name, rate in rates.items():
            print(f"{rate:>7,.0f} Mpx/s  {rate / rates[DECODE]:>5.2f} x  {name}")
        for coarser, least in MIN_SHARES.items():
            told = f"{shares[coarser]:.2f} x decoding alone (limit {least}), {decodes[coarser]:.2f} decodes"
            print(f"{coarser:g} times coarser: {told} of each stored tile (limit {MAX_DECODES})")
        print(f"peak memory {peak_mb:,.0f} MB, Python and libraries included")
    reached = all(shares[coarser] >= least for coarser, least in MIN_SHARES.items())
    limits.end(kept=reached and max(decodes.values()) <= MAX_DECODES)


if __name__ == "__main__":
    main()
