"""Reading beside a peer: `python -m benchmarks.peer SLIDE ...`; prints JSON, one object a slide and way.

fastslide reads whole-slide images in C++ (https://github.com/NKI-AI/fastslide, Apache-2.0). It is no dependency:
install it by `pip install --no-deps --target FOLDER fastslide`, and put FOLDER into PYTHONPATH. Both read the tiles of
one grid at the slide's own scale, in the order of a run, by one thread, in turns: fastslide tile by tile, which is how
it is asked, with a cache as large as ours; wsi-parse tile by tile, and in blocks that are cut into tiles, as in a run.
Pixels that arrive per processor second (opening the slide included, overlap counted, the best of several rounds), and
how much they differ from those of OpenSlide.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from benchmarks.reading import ROUNDS, blocks, grid_of
from wsi_parse.geometry import Box
from wsi_parse.slides import Slide, open_slide

PEER = "fastslide"
_CACHE_BYTES = 1 << 27
Tile = tuple[Box, NDArray[np.uint8]]


def tiles_of(slide: Slide) -> list[Box]:
    """List the tiles of a grid that lie on the slide as a whole, in the order of a run."""
    whole = slide.level0_frame.box
    of_all = (tile for _, tiles, _ in blocks(slide, grid_of(slide, 1.0)) for tile in tiles)
    return [tile for tile in of_all if tile.intersection(whole) == tile]


def of_peer(path: Path, tiles: list[Box]) -> Iterator[Tile]:
    """Read tile by tile with fastslide."""
    import fastslide

    with fastslide.FastSlide.from_file_path(str(path), cache=_CACHE_BYTES) as opened:
        for tile in tiles:
            pixels = opened.read_region((tile.x, tile.y), 0, (tile.width, tile.height))
            yield tile, np.asarray(pixels.numpy())[..., :3]


def tile_by_tile(path: Path, tiles: list[Box]) -> Iterator[Tile]:
    """Read tile by tile with wsi-parse."""
    with open_slide(path) as slide:
        for tile in tiles:
            yield tile, slide.read(tile, slide.level0_frame)


def in_blocks(path: Path, tiles: list[Box]) -> Iterator[Tile]:
    """Read with wsi-parse as a run does: a block at once, cut into its tiles."""
    wanted = set(tiles)
    with open_slide(path) as slide:
        grid = grid_of(slide, 1.0)
        for around, inside, shared in blocks(slide, grid):
            pixels = slide.read_readable(around, grid.frame, shared).pixels
            for tile in inside:
                if tile in wanted:
                    yield tile, pixels[tile.relative_to(around).slices]


WAYS: dict[str, Callable[[Path, list[Box]], Iterator[Tile]]] = {
    PEER: of_peer,
    "wsi-parse, tile by tile": tile_by_tile,
    "wsi-parse, in blocks": in_blocks,
}


def least_in_turns(ways: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Return the least seconds that each way told of itself in several rounds, each of which holds every way once."""
    seconds: dict[str, float] = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name] = min(seconds[name], way())
    return seconds


def not_installed(command: str, *peers: str) -> SystemExit:
    """Return the error of a benchmark that has none of the peers that it compares with."""
    none = " and ".join(f"{peer} is not installed" for peer in peers)
    return SystemExit(f"{none}, so nothing is compared: see python -m {command} --help")


def compare(path: Path) -> Iterator[dict[str, Any]]:
    """Read a slide in all ways, in turns."""
    with open_slide(path) as slide:
        tiles = tiles_of(slide)
    area = sum(tile.area for tile in tiles)

    def seconds_of(way: Callable[[Path, list[Box]], Iterator[Tile]]) -> float:
        started = time.process_time()
        for _tile, _pixels in way(path, tiles):
            pass
        return time.process_time() - started

    seconds = least_in_turns({name: partial(seconds_of, way) for name, way in WAYS.items()})
    for name, way in WAYS.items():
        with openslide.OpenSlide(path) as reference:
            apart = [_difference(reference, tile, pixels) for tile, pixels in way(path, tiles)]
        yield {
            "slide": path.name,
            "way": name,
            "tiles": len(tiles),
            "mpx_per_cpu_s": round(area / seconds[name] / 1e6, 1),
            "times_peer": round(seconds[PEER] / seconds[name], 2),
            "differ_from_openslide_at_most": max(most for most, _ in apart),
            "differ_from_openslide_share": round(float(np.mean([share for _, share in apart])), 5),
        }


def _difference(reference: openslide.OpenSlide, tile: Box, pixels: NDArray[np.uint8]) -> tuple[int, float]:
    """Return by how much the pixels of a tile differ from OpenSlide's at most, and how many do."""
    known = np.asarray(reference.read_region((tile.x, tile.y), 0, (tile.width, tile.height)).convert("RGB"))
    apart = np.abs(pixels.astype(np.int16) - known)
    return int(apart.max()), float(apart.any(axis=2).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="+", type=Path)
    slides = parser.parse_args().slides
    if importlib.util.find_spec(PEER) is None:
        raise not_installed("benchmarks.peer", PEER)
    for slide in slides:
        for found in compare(slide):
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
