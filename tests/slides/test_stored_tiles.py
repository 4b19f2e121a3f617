"""Stored tiles give the pixels of OpenSlide, are decoded about once each, and damaged ones are reported."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from wsi_parse.errors import SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides import Slide, SlideOptions, open_slide
from wsi_parse.slides.cached_tiles import TileCache
from wsi_parse.slides.openslide_reader import OpenSlideReader
from wsi_parse.slides.transparency import on_white

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


def test_the_cache_keeps_to_its_limit() -> None:
    cache = TileCache(10_000)
    for number in range(50):
        cache.put((0, 0, number), np.zeros((20, 20, 3), np.uint8))
        cache.put((0, 0, number), np.zeros((20, 20, 3), np.uint8))
        assert cache.held_bytes <= 10_000
    assert cache.get((0, 0, 0)) is None
    assert cache.get((0, 0, 49)) is not None
