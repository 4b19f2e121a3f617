"""Stored tiles give the pixels of OpenSlide, are decoded about once each, and damaged ones are reported."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import openslide
import pytest
import tifffile

from tests.small_slides import write_slide
from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box, Frame
from wsi_parse.predict.tiles import Selection, TileGrid
from wsi_parse.slides import Slide, SlideOptions, bands, open_slide
from wsi_parse.slides.bands import boxes_across, shared_in_bands
from wsi_parse.slides.cached_tiles import TileCache
from wsi_parse.slides.lattice import Shared
from wsi_parse.slides.openslide_reader import OpenSlideReader
from wsi_parse.slides.transparency import on_white
from wsi_parse.synthetic import SyntheticSlide

APERIO = "aperio/CMU-1-Small-Region.svs"
DICOM = "dicom/CMU-1-Small-Region"


def test_stored_tiles_are_the_pixels_of_openslide(slides: Path) -> None:
    for name in (APERIO, "mosaic/tnbc_mosaic_40x.svs", "mosaic/tnbc_mosaic_generic_mpp025.tif"):
        with open_slide(slides / name) as slide, openslide.OpenSlide(slides / name) as reference:
            for index, level in enumerate(slide.info.levels):
                box = Box(level.width // 3, level.height // 3, min(500, level.width // 3), min(400, level.height // 3))
                position = (round(box.x * level.downsample_x), round(box.y * level.downsample_y))
                if index and (box.x * level.downsample_x) % 1:
                    continue
                theirs = np.asarray(reference.read_region(position, index, (box.width, box.height)).convert("RGB"))
                assert np.array_equal(slide._reader.read_level(index, box), theirs), (name, index)


def test_each_stored_tile_is_decoded_about_once(slides: Path) -> None:
    with open_slide(slides / "mosaic/tnbc_mosaic_40x.svs") as slide:
        tiles = slide._reader.tiles[0]  # type: ignore[attr-defined]
        before = tiles.reads
        frame = slide.frame(0.25)
        for y in range(0, frame.height, 3584):
            for x in range(0, frame.width, 3584):
                slide.read(Box(x - 64, y - 64, 3712, 3712).intersection(frame.box), frame)
        assert (tiles.reads - before) / tiles.count <= 1.3


def _damaged(source: Path, target: Path, level: int, number: int, share: float) -> tuple[int, int]:
    """Overwrite the end of a stored tile; return the corner (x, y) of the tile in level-0 pixels."""
    target.write_bytes(source.read_bytes())
    with tifffile.TiffFile(source) as file:
        page = [page for page in file.pages if page.is_tiled][level]
        scale = file.pages[0].imagewidth // page.imagewidth
        across = -(-page.imagewidth // page.tilewidth)
        size = page.databytecounts[number]
        start = int(size * (1 - share))
        offset = page.dataoffsets[number] + start
    with target.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"\0" * (size - start))
    return number % across * page.tilewidth * scale, number // across * page.tilelength * scale


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_a_damaged_tile_is_reported_with_slide_level_and_position(painted: Path, tmp_path: Path, share: float) -> None:
    for name in ("a.svs", "a.ome.tif"):
        x, y = _damaged(painted / name, tmp_path / name, 0, 1, share)
        with open_slide(tmp_path / name) as slide:
            frame = slide.frame(slide.pixel_size.x_um)
            with pytest.raises(SlideReadError, match=rf"{name}: level 0 cannot be read at x {x}, y {y}: "):
                slide.read(Box(x, y, 64, 64), frame)
            with open_slide(painted / name) as whole:
                box = Box(x + 512, y + 512, 100, 100)
                assert np.array_equal(slide.read(box, frame), whole.read(box, frame))


def test_after_an_error_openslide_reads_on(slides: Path, tmp_path: Path) -> None:
    """This holds also for threads that read intact tiles while another thread meets the damaged one."""
    for file in (slides / DICOM).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "03.dcm").open("r+b") as opened:
        opened.seek(1_200_000)
        opened.write(b"\xff\xd8" + b"\0" * 6000)
    reader = OpenSlideReader(tmp_path / "01.dcm")
    with (
        Slide(reader, tmp_path / "01.dcm", SlideOptions()) as slide,
        open_slide(slides / DICOM / "01.dcm") as whole,
    ):
        frame = whole.frame(whole.pixel_size.x_um)
        boxes = [Box(x, y, 64, 64) for y in range(0, frame.height, 512) for x in range(0, frame.width, 512)] * 3

        def outcome(box: Box) -> bool:
            try:
                return np.array_equal(slide.read(box, frame), whole.read(box, frame))
            except SlideReadError:
                return False

        with ThreadPoolExecutor(4) as pool:
            good = list(pool.map(outcome, boxes))
    once = len(boxes) // 3
    assert good[:once] == good[once : 2 * once] == good[2 * once :]
    assert 0 < good.count(False) < len(good) // 2


def test_missing_tiles_are_read_as_openslide_reads_them(painted: Path, tmp_path: Path) -> None:
    for name, levels in (("a.svs", (0, 1)), ("a.tif", (0, 1))):
        path = tmp_path / name
        for level in levels:
            path.write_bytes((painted / name).read_bytes())
            with tifffile.TiffFile(path, mode="r+") as file:
                tags = [page for page in file.pages if page.is_tiled][level].tags
                for tag in ("TileByteCounts", "TileOffsets"):
                    tags[tag].overwrite([0, *tags[tag].value[1:]])
            with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
                theirs = np.asarray(reference.read_region((0, 0), level, (200, 200)))
                assert np.array_equal(slide._reader.read_level(level, Box(0, 0, 200, 200)), on_white(theirs))


def _blocks(slide: Slide, frame: Frame, at_once: int) -> list[list[tuple[Box, Shared]]]:
    """Return the boxes of a run's blocks in the order in which it reads them, in groups that are read at once.

    Beside each is what others need of it.
    """
    grid = TileGrid.of(frame, 128, 0.125, 1, 2)
    rows, columns = grid.block_shape
    selection = Selection(grid, np.ones(grid.shape, bool))
    across = boxes_across(slide, grid.block_px, grid.overlap_px, frame)
    ordered = selection.in_bands(selection.blocks(), across)
    assert sorted(ordered) == [(row, column) for row in range(rows) for column in range(columns)]
    boxes = []
    for block in ordered:
        tiles = [grid.tile(*index).read for index in grid.tiles_of(block)]
        around = Box.from_corners(tiles[0].x, tiles[0].y, tiles[-1].right, tiles[-1].bottom)
        boxes.append((around, shared_in_bands(slide, block[1], grid.block_px, grid.overlap_px, frame)))
    return [boxes[first : first + at_once] for first in range(0, len(boxes), at_once)]


@pytest.fixture(scope="module")
def many_tiles(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Slides of 1,500 x 1,300 px by the side of their stored tiles."""
    folder, pixels = tmp_path_factory.mktemp("tiles"), SyntheticSlide(1500, 1300, seed=4, tissue=1.0)
    whole = pixels.pixels(pixels.box)
    return {tile: write_slide(folder / f"{tile}.svs", whole, 0.25, tile) for tile in (48, 64, 128, 256)}


@pytest.mark.parametrize("tile", [48, 64, 128, 256])
@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.505, 0.75])
def test_blocks_decode_each_stored_tile_once(many_tiles: dict[int, Path], tile: int, mpp: float) -> None:
    """What neighbours share is kept for them, and nothing else; and the pixels are those of any other read."""
    with open_slide(many_tiles[tile]) as slide, open_slide(many_tiles[tile]) as other:
        reader = cast(OpenSlideReader, slide._reader)
        tiles, frame = reader.tiles[0], slide.frame(mpp)
        # What was read when the slide was opened.
        reader._cache.clear()
        before = tiles.reads
        whole = other.read(frame.box, frame)
        for ((box, shared),) in _blocks(slide, frame, 1):
            pixels = slide.read_readable(box, frame, shared).pixels
            inside = box.intersection(frame.box)
            assert np.array_equal(pixels[inside.relative_to(box).slices], whole[inside.slices])
        assert 1.0 <= (tiles.reads - before) / tiles.count <= 1.02
        assert reader._cache.held_bytes == 0


def test_threads_at_neighbouring_blocks_decode_what_they_share_once(many_tiles: dict[int, Path]) -> None:
    with open_slide(many_tiles[64]) as slide, ThreadPoolExecutor(2) as pool:
        reader = cast(OpenSlideReader, slide._reader)
        tiles, frame = reader.tiles[0], slide.frame(0.5)
        reader._cache.clear()
        before = tiles.reads
        for boxes in _blocks(slide, frame, 2):
            list(pool.map(lambda box: slide.read_readable(box[0], frame, box[1]), boxes))
        assert 1.0 <= (tiles.reads - before) / tiles.count <= 1.1


@pytest.mark.parametrize("mpp", [0.25, 0.505])
def test_a_slide_that_is_too_wide_is_read_in_bands(
    many_tiles: dict[int, Path], monkeypatch: pytest.MonkeyPatch, mpp: float
) -> None:
    """What lies on the border of two bands is decoded for each, and nothing waits for the next one."""
    with open_slide(many_tiles[48]) as slide:
        reader = cast(OpenSlideReader, slide._reader)
        tiles, frame = reader.tiles[0], slide.frame(mpp)
        monkeypatch.setattr(bands, "boxes_across", lambda *_: 2)
        monkeypatch.setitem(globals(), "boxes_across", lambda *_: 2)
        reader._cache.clear()
        before, held = tiles.reads, []
        for ((box, shared),) in _blocks(slide, frame, 1):
            slide.read_readable(box, frame, shared)
            held.append(reader._cache.held_bytes)
        columns = -(-slide.info.levels[0].width // 48)
        blocks = -(-frame.box.width // 224)
        # At each border two columns of tiles at most.
        assert 1.0 < (tiles.reads - before) / tiles.count <= 1 + 2 * (-(-blocks // 2) - 1) / columns
        # Not more and more from row to row: below a box, one row of tiles is shared or, across its border, two.
        assert max(held) < 2 * max(held[:4])
        assert held[-1] == 0


def test_a_tile_that_is_promised_to_others_is_kept_until_they_have_read_it() -> None:
    cache = TileCache(10_000, 10_000)
    tile = np.zeros((20, 20, 3), np.uint8)
    cache.put((0, 0, 0), tile, 0)
    assert cache.get((0, 0, 0), 0) is None
    cache.put((0, 0, 0), tile, 2)
    for number in range(50):
        cache.put((0, 1, number), tile)
    assert cache.get((0, 0, 0)) is tile
    assert cache.get((0, 0, 0), 2) is tile
    assert cache.get((0, 0, 0), 2) is tile
    assert cache.get((0, 0, 0), 2) is None
    for number in range(50):
        cache.put((0, 2, number), tile, 1)
        assert cache.held_bytes <= 20_000
    assert cache.get((0, 2, 0), 1) is None
    assert cache.get((0, 2, 49), 1) is tile


def test_the_cache_keeps_to_its_limit() -> None:
    cache = TileCache(10_000)
    for number in range(50):
        cache.put((0, 0, number), np.zeros((20, 20, 3), np.uint8))
        cache.put((0, 0, number), np.zeros((20, 20, 3), np.uint8))
        assert cache.held_bytes <= 10_000
    assert cache.get((0, 0, 0)) is None
    assert cache.get((0, 0, 49)) is not None
