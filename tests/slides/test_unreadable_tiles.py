"""Where stored tiles are damaged, the rest of a slide is read as it is, and each unknown pixel is known to be so."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.damaged import damage
from wsi_parse.errors import SlideLostError, SlideReadError
from wsi_parse.geometry import Box
from wsi_parse.slides import SlideOptions, open_slide
from wsi_parse.slides.resample import taps, touched
from wsi_parse.synthetic import SyntheticSlide, write_generic_tiff, write_ome_tiff, write_svs_like

WRITERS = {"a.svs": write_svs_like, "a.tif": write_generic_tiff, "a.ome.tif": write_ome_tiff}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(folder / name, SyntheticSlide(1300, 1100, seed=4, tissue=1.0), downsamples=(1, 2))
    return folder


def copied(whole: Path, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes((whole / name).read_bytes())
    return path


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
@pytest.mark.parametrize("numbers", [(0,), (7,), (0, 7, 29), range(30)])
@pytest.mark.parametrize("level", [0, 1])
def test_opening_never_fails_on_a_tile(
    whole: Path, tmp_path: Path, name: str, numbers: tuple[int, ...], level: int
) -> None:
    path = copied(whole, tmp_path, name)
    damage(path, *(number for number in numbers if level == 0 or number < 9), level=level)
    with open_slide(path) as slide:
        assert slide.dimensions == (1300, 1100)


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
def test_only_the_damaged_tile_is_unknown(whole: Path, tmp_path: Path, name: str) -> None:
    path = copied(whole, tmp_path, name)
    (tile,) = damage(path, 8)
    box = Box(100, 50, 1100, 1000)
    with open_slide(path) as slide, open_slide(whole / name) as other:
        frame = slide.frame(slide.pixel_size.x_um)
        read = slide.read_readable(box, frame)
        assert read.unknown == (tile.intersection(box),)
        assert read.tiles_level0 == (tile,)
        assert isinstance(read.error, SlideReadError)
        known = read.known(box)
        assert np.array_equal(read.pixels[known], other.read(box, frame)[known])
        assert (read.pixels[~known] == 255).all()
        assert known.sum() == box.area - tile.intersection(box).area
        beside = Box(tile.x - 50, tile.y - 80, 300, 70)
        assert np.array_equal(slide.read(beside), other.read(beside))
        with pytest.raises(SlideReadError, match=rf"x {tile.x}, y {tile.y}: .*--set slide\.skip_unreadable=true"):
            slide.read(box, frame)
    with open_slide(path, SlideOptions(skip_unreadable=True)) as slide:
        assert np.array_equal(slide.read(box, frame), read.pixels)


def test_what_a_coarse_level_lacks_is_taken_from_a_finer_one(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path, "a.svs")
    damage(path, 4, level=1)
    with open_slide(path) as slide, open_slide(whole / "a.svs") as other:
        frame = slide.frame(1.0)
        read, right = slide.read_readable(frame.box, frame), other.read(frame.box, frame)
        assert (read.unknown, read.tiles_level0) == ((), ())
        assert np.abs(read.pixels.astype(int) - right).mean() < 1
    tiles = damage(path, 14, 15, 20)
    with open_slide(path) as slide:
        read = slide.read_readable(frame.box, frame)
        assert read.unknown
        assert set(read.tiles_level0) == set(tiles)
        assert not read.known(frame.box).all()


@pytest.fixture(scope="module")
def damaged(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = copied(whole, tmp_path_factory.mktemp("damaged"), "a.svs")
    damage(path, 4, level=1)
    damage(path, 6, 13, 14, 20)
    return path


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_crop_of_a_read_is_the_read_of_the_crop_also_around_damage(damaged: Path, data: st.DataObject) -> None:
    mpp = data.draw(st.sampled_from([0.2, 0.25, 0.33, 0.5, 0.61, 1.0, 2.3]))
    with open_slide(damaged) as slide:
        frame = slide.frame(mpp)
        all_of_it = Box(-5, -5, frame.width + 10, frame.height + 10)
        x, y = data.draw(st.integers(-5, frame.width - 2)), data.draw(st.integers(-5, frame.height - 2))
        part = Box(x, y, data.draw(st.integers(1, frame.width - x)), data.draw(st.integers(1, frame.height - y)))
        one, other = slide.read_readable(all_of_it, frame), slide.read_readable(part, frame)
        place = part.relative_to(all_of_it).slices
        assert np.array_equal(one.known(all_of_it)[place], other.known(part))
        assert np.array_equal(one.pixels[place], other.pixels)


@given(
    st.integers(0, 400),
    st.integers(1, 300),
    st.one_of(st.floats(0.2, 9.0), st.integers(1, 9).map(float)),
)
def test_touched_pixels_are_those_that_a_weight_joins(start: int, count: int, step: float) -> None:
    length, stop = 800, start + count
    first, end = touched(start, stop, step)
    frame_length = int(length / step) - 1
    low, weights = taps(0, frame_length, step, length)
    columns = np.arange(low, low + weights.shape[1])
    joined = np.flatnonzero(np.asarray(weights[:, (columns >= start) & (columns < stop)].sum(axis=1)) > 0)
    assert all(first <= index < end for index in joined)
    if len(joined):
        assert max(0, first) >= joined[0] - 1
        assert min(frame_length, end) <= joined[-1] + 2


def test_a_file_that_is_gone_is_no_damage(whole: Path, tmp_path: Path) -> None:
    """Else a lost network drive would give a result of nothing."""
    path = copied(whole, tmp_path, "a.ome.tif")
    with open_slide(path, SlideOptions(skip_unreadable=True)) as slide:

        def broken(*_: object) -> None:
            raise OSError(116, "Stale file handle")

        slide._reader.tiles[0]._read.__self__._part = broken  # type: ignore[attr-defined]
        for read in (slide.read, slide.read_readable):
            with pytest.raises(SlideLostError, match=r"Stale file handle.*disk or network"):
                read(Box(0, 0, 1300, 1100))


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
def test_a_file_without_its_end_is_read_only_if_that_is_wanted(whole: Path, tmp_path: Path, name: str) -> None:
    path = copied(whole, tmp_path, name)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    from wsi_parse.errors import SlideOpenError

    with pytest.raises(SlideOpenError, match=r"its end is missing.*slide\.skip_unreadable=true"):
        open_slide(path)
    with open_slide(path, SlideOptions(skip_unreadable=True)) as slide:
        frame = slide.frame(0.25)
        assert (slide.read_readable(frame.box, frame).pixels < 255).any()
