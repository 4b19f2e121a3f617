"""A square of known place lies where it should, in tiles and buffers, for every kind of slide and zoom."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from tests.shared import shared_data_root
from tests.small_slides import write_slide
from tests.viewer.made import all_cells, batch_of, layer_of
from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide
from wsi_parse.slides.options import SlideOptions
from wsi_parse.slides.slide import Slide
from wsi_parse.synthetic import SyntheticSlide, write_leica_scn, write_svs_like
from wsi_parse.synthetic.writers import IDENTIFIERS
from wsi_parse.viewer.slide_view import SlideView
from wsi_parse.viewer.tiles import SlideTiles

WIDTH, HEIGHT = 2300, 1500
#: Its sides are multiples of 16, so that it fills whole pixels at each zoom level.
SQUARE = Box(1120, 592, 224, 160)
WHITE = 244
#: Of the square, in grey.
DARK = 36


def pixels() -> np.ndarray:
    found = np.full((HEIGHT, WIDTH, 3), WHITE, np.uint8)
    found[SQUARE.slices] = (20, 20, 160)
    return found


def svs(path: Path) -> Path:
    return write_slide(path.with_suffix(".svs"), pixels())


def png(path: Path) -> Path:
    Image.fromarray(pixels()).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


def ome_tiff(path: Path) -> Path:
    """With a level of half the size."""
    path = path.with_name("a.ome.tif")
    with tifffile.TiffWriter(path, ome=True) as tiff:
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
        options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
        tiff.write(pixels(), subifds=1, metadata={"axes": "YXS", **size}, **options)
        half = np.asarray(Image.fromarray(pixels()).reduce(2))
        tiff.write(half, subfiletype=1, **options)
    return path


def mosaic(tiles: SlideTiles, zoom: int) -> np.ndarray:
    """Put all tiles of a zoom level together, grey."""
    rows, columns = (-(-side // (512 << zoom)) for side in (HEIGHT, WIDTH))
    found = np.zeros((rows * 512, columns * 512))
    for row in range(rows):
        for column in range(columns):
            content = tiles.tile(zoom, column, row)
            assert content is not None
            with Image.open(BytesIO(content)) as picture:
                assert picture.size == (512, 512)
                part = np.asarray(picture.convert("L"))
            found[row * 512 : row * 512 + 512, column * 512 : column * 512 + 512] = part
    return found


@contextmanager
def opened(path: Path) -> Iterator[Slide]:
    with open_slide(path, SlideOptions(mpp=0.5, override_mpp=True)) as slide:
        yield slide


@pytest.mark.parametrize("write", [svs, png, ome_tiff])
def test_a_square_lies_where_it_should_at_each_zoom(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with opened(write(tmp_path / "a")) as slide:
        tiles = SlideTiles(slide)
        assert tiles.max_zoom == 3
        for zoom in range(4):
            dark = (WHITE - mosaic(tiles, zoom)) / (WHITE - DARK)
            # The share of dark in each row and column tells where the edges lie, to a part of a pixel.
            scale = 1 << zoom
            middle = SQUARE.y // scale + 3, SQUARE.x // scale + 3
            across, down = dark[middle[0]].clip(0, 1), dark[:, middle[1]].clip(0, 1)
            for line, start, length in ((across, SQUARE.x, SQUARE.width), (down, SQUARE.y, SQUARE.height)):
                at = start // scale
                near = line[at - 4 : at + length // scale + 4]
                assert near.sum() * scale == pytest.approx(length, abs=1)
                centre = (near * (np.arange(len(near)) + at - 4 + 0.5)).sum() / near.sum()
                assert centre * scale == pytest.approx(start + length / 2, abs=0.5)


@pytest.mark.parametrize("write", [svs, png, ome_tiff])
def test_the_outline_of_the_square_covers_it_in_the_tiles(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    outline = shapely.box(SQUARE.x, SQUARE.y, SQUARE.right, SQUARE.bottom)
    layer = layer_of(tmp_path, batch_of([outline]))
    (found,) = all_cells(layer)
    left, top, right, bottom = shapely.bounds(found.shapes()[0]).astype(int).tolist()
    with opened(write(tmp_path / "a")) as slide:
        grey = mosaic(SlideTiles(slide), 0)
    assert grey[top + 1 : bottom - 1, left + 1 : right - 1].max() < 90
    ring = np.ones_like(grey, bool)
    ring[top - 3 : bottom + 3, left - 3 : right + 3] = False
    assert grey[ring].min() > 200


def test_beyond_the_slide_tiles_are_white_and_outside_there_are_none(tmp_path: Path) -> None:
    with opened(png(tmp_path / "a")) as slide:
        tiles = SlideTiles(slide)
        with Image.open(BytesIO(tiles.tile(0, 4, 2) or b"")) as picture:
            corner = np.asarray(picture)
        assert (corner[HEIGHT - 1024 + 8 :] > 250).all()
        assert (corner[:, WIDTH - 2048 + 8 :] > 250).all()
        outside = [(0, 5, 0), (0, 0, 3), (4, 0, 0), (-1, 0, 0), (0, -1, 0), (3, 1, 0)]
        assert [tiles.tile(*place) for place in outside] == [None] * len(outside)


def test_bounds_are_subtracted_by_the_browser_and_by_nothing_else(tmp_path: Path) -> None:
    """Tiles and buffers count from level 0; the view tells what QuPath subtracts."""
    path = tmp_path / "a.scn"
    write_leica_scn(path, SyntheticSlide(400, 304, seed=4, tissue=0.8))
    with open_slide(path) as slide:
        bounds = slide.info.bounds_level0
        assert bounds is not None
        outline = shapely.box(bounds.x + 100, bounds.y + 200, bounds.x + 140, bounds.y + 230)
        layer = layer_of(tmp_path, batch_of([outline]), offset=(bounds.x, bounds.y))
        view = SlideView(slide, {0: layer}, None, tmp_path)
        facts = view.to_dict(cohort=False)
        assert facts["offset_level0_px"] == [bounds.x, bounds.y]
        assert shapely.equals_exact(all_cells(layer)[0].shapes()[0], outline, 0)
        zoom = 1
        column, row = (bounds.x + 100) // 1024, (bounds.y + 200) // 1024
        with Image.open(BytesIO(view.tiles.tile(zoom, column, row) or b"")) as picture:
            shown = np.asarray(picture).astype(int)
        whole = slide.read(Box(column * 1024, row * 1024, 1024, 1024))
        reduced = np.asarray(Image.fromarray(whole).reduce(2)).astype(int)
        assert np.abs(shown - reduced).mean() < 4


def test_a_slide_without_a_pixel_size_is_shown(tmp_path: Path) -> None:
    with open_slide(png(tmp_path / "a")) as slide:
        facts = SlideView(slide, {}, None, None).to_dict(cohort=False)
        assert (facts["mpp"], facts["layers"]) == (None, [])
        assert SlideTiles(slide).tile(2, 0, 0)


def test_only_so_many_bytes_of_tiles_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi_parse.viewer.tiles._KEPT_BYTES", 20_000)
    with opened(png(tmp_path / "a")) as slide:
        tiles = SlideTiles(slide)
        first = tiles.tile(0, 0, 0)
        for column in range(4):
            for row in range(3):
                tiles.tile(0, column, row)
        assert 0 < tiles.kept_bytes <= 20_000
        assert tiles.tile(0, 0, 0) == first


def test_a_slide_without_a_pyramid_is_read_once_for_all_zooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its tiles are what they are when they are read at once, in whatever order they are asked for."""
    rng = np.random.default_rng(3)
    rows = np.linspace(0, 200, HEIGHT).astype(int)[:, None, None]
    picture = (rows + rng.integers(0, 56, (HEIGHT, WIDTH, 3))).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with opened(tmp_path / "a.png") as slide:
        plain = [mosaic(SlideTiles(slide), zoom) for zoom in range(4)]
        monkeypatch.setattr("wsi_parse.viewer.tiles._MOST_STEP", 1)
        whole = [mosaic(SlideTiles(slide), zoom) for zoom in range(4)]
        boxes: list[Box] = []
        read = slide.read
        monkeypatch.setattr(slide, "read", lambda box, frame: (boxes.append(box), read(box, frame))[1])
        tiles = SlideTiles(slide)
        assert [tiles.is_far(zoom) for zoom in range(4)] == [False, True, True, True]
        again = [mosaic(tiles, zoom) for zoom in (3, 2, 1)]
        assert sorted((box.x, box.y) for box in boxes) == [(x * 512, y * 512) for x in range(5) for y in range(3)]
        boxes.clear()
        upwards = SlideTiles(slide)
        assert np.array_equal(mosaic(upwards, 1), again[2])
        assert np.array_equal(mosaic(upwards, 3), again[0])
        assert len(boxes) == 15
    for zoom, (one, other) in enumerate(zip(plain, whole, strict=True)):
        inside = (slice(0, HEIGHT >> zoom), slice(0, WIDTH >> zoom))
        assert np.abs(one - other)[inside].mean() < 1
    for zoom, found in zip((3, 2, 1), again, strict=True):
        assert np.array_equal(found, whole[zoom])


@pytest.mark.whole
def test_a_dicom_slide_is_shown() -> None:
    folder = shared_data_root() / "slides" / "dicom" / "CMU-1-Small-Region"
    svs_path = shared_data_root() / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    with open_slide(next(folder.glob("*.dcm")) if folder.is_dir() else folder) as dicom, open_slide(svs_path) as slide:
        shown = [SlideTiles(each).tile(2, 0, 0) or b"" for each in (dicom, slide)]
    one, other = (np.asarray(Image.open(BytesIO(each))).astype(int) for each in shown)
    assert np.abs(one - other).mean() < 3


def test_label_and_macro_are_never_served(tmp_path: Path) -> None:
    """The page of the label is dark: no tile and no thumbnail shows it, and its identifiers are in no answer."""
    path = tmp_path / "a.svs"
    write_svs_like(path, SyntheticSlide(400, 304, seed=3, tissue=0.5), identifiers=IDENTIFIERS)
    assert b"planted-" in path.read_bytes()
    with open_slide(path) as slide:
        view = SlideView(slide, {}, None, None)
        assert "planted" not in repr(view.to_dict(cohort=False))
        content = view.tiles.thumbnail()
        assert b"planted-" not in content
        with Image.open(BytesIO(content)) as picture:
            assert picture.size == (400, 304)
            assert not picture.getexif()
