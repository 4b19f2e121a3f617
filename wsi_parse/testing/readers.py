"""ReaderTests: the contract of every reader of slides."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wsi_parse.errors import SlideError
from wsi_parse.geometry import Box
from wsi_parse.registry import READERS
from wsi_parse.slides import Slide, list_slides


class ReaderTests:
    """The same assertions for all readers. Provide a pytest fixture `slide` with a pixel size.

    The reader of a slide that is a file or a folder is registered under the name in ``slide.info.reader``.
    """

    def test_the_reader_claims_its_slides_and_nothing_else(self, slide: Slide, tmp_path: Path) -> None:
        """By the name, the first bytes, or what lies in the folder."""
        if not isinstance(slide.source, Path):
            return
        reader = READERS.get(slide.info.reader)
        assert reader.suffixes
        assert all(re.fullmatch(r"(\.[a-z0-9]+)+", suffix) for suffix in reader.suffixes)
        assert reader.detect(slide.source)
        (tmp_path / "empty").touch()
        (tmp_path / "text.txt").write_text("This is not a slide.")
        for path in (tmp_path, tmp_path / "empty", tmp_path / "text.txt", tmp_path / "missing"):
            assert not reader.detect(path)

    def test_a_folder_with_the_slide_lists_it(self, slide: Slide, tmp_path: Path) -> None:
        """Its name has an ending of the reader, or it is a folder that the reader claims."""
        if not isinstance(slide.source, Path):
            return
        (tmp_path / slide.source.name).symlink_to(slide.source, target_is_directory=slide.source.is_dir())
        assert [path.name for path in list_slides([tmp_path])] == [slide.source.name]

    def test_what_is_not_a_slide_is_refused_with_a_reason(self, slide: Slide, tmp_path: Path) -> None:
        """An error of this package or of the system, never another one."""
        if not isinstance(slide.source, Path):
            return
        (tmp_path / "text.txt").write_text("This is not a slide.")
        with pytest.raises((SlideError, OSError)) as caught:
            READERS.get(slide.info.reader)(tmp_path / "text.txt")
        assert str(caught.value)

    def test_levels_shrink_and_know_their_downsample(self, slide: Slide) -> None:
        """Level 0 is the largest; a downsample is the ratio of sizes, up to rounding."""
        levels = slide.info.levels
        assert (levels[0].downsample_x, levels[0].downsample_y) == (1.0, 1.0)
        for finer, coarser in pairwise(levels):
            assert coarser.width < finer.width
            assert abs(coarser.downsample_x * coarser.width - levels[0].width) <= coarser.downsample_x
            assert abs(coarser.downsample_y * coarser.height - levels[0].height) <= coarser.downsample_y

    def test_a_read_is_rgb_of_the_boxs_size(self, slide: Slide) -> None:
        """Rows and columns, uint8, three bands."""
        frame = slide.frame(slide.pixel_size.x_um * 1.5)
        pixels = slide.read(Box(1, 2, 7, 5), frame)
        assert pixels.shape == (5, 7, 3)
        assert pixels.dtype == np.uint8

    def test_a_crop_of_a_read_is_the_read_of_the_crop(self, slide: Slide) -> None:
        """Byte for byte, at every scale, also across the edges."""
        rng = np.random.default_rng(0)
        for factor in (0.7, 1.0, 1.3, 2.0, 3.7):
            frame = slide.frame(slide.pixel_size.x_um * factor)
            whole_box = Box(-9, -9, min(frame.width, 900) + 18, min(frame.height, 900) + 18)
            whole = slide.read(whole_box, frame)
            for _ in range(5):
                x, y = int(rng.integers(-9, whole_box.right - 8)), int(rng.integers(-9, whole_box.bottom - 8))
                width = int(rng.integers(1, whole_box.right - x))
                part = Box(x, y, width, int(rng.integers(1, whole_box.bottom - y)))
                assert np.array_equal(slide.read(part, frame), whole[part.relative_to(whole_box).slices])

    def test_a_level_read_in_parts_is_the_level(self, slide: Slide) -> None:
        """Checks the reader itself at the far corner of every level, where stored tiles are incomplete."""
        for index, level in enumerate(slide.info.levels):
            corner = Box(max(0, level.width - 300), max(0, level.height - 300), 300, 300).intersection(level.box)
            whole = slide._reader.read_level(index, corner)
            assert whole.shape == (*corner.shape, 3)
            for part in (Box(corner.x + 7, corner.y + 3, 150, 5), Box(level.width - 1, level.height - 1, 1, 1)):
                part = part.intersection(corner)
                assert np.array_equal(slide._reader.read_level(index, part), whole[part.relative_to(corner).slices])

    def test_pixels_that_were_read_can_be_changed_by_the_caller(self, slide: Slide) -> None:
        """Changing them does not change later reads."""
        for factor in (1, 2):
            frame = slide.frame(slide.pixel_size.x_um * factor)
            before = slide.read(Box(0, 0, 20, 20), frame)
            slide.read(Box(0, 0, 20, 20), frame)[:] = 0
            assert np.array_equal(slide.read(Box(0, 0, 20, 20), frame), before)

    def test_the_info_is_complete(self, slide: Slide) -> None:
        """A name without a folder, a reader, a fingerprint."""
        info = slide.info
        assert "/" not in info.name
        assert info.reader
        assert info.vendor
        assert len(info.fingerprint) == 64
        int(info.fingerprint, 16)

    def test_outside_is_white(self, slide: Slide) -> None:
        """Beyond every edge."""
        frame = slide.frame(slide.pixel_size.x_um)
        for box in (
            Box(-50, 0, 40, 9),
            Box(0, -50, 9, 40),
            Box(frame.width + 9, 0, 9, 9),
            Box(0, frame.height + 9, 9, 9),
        ):
            assert (slide.read(box, frame) == 255).all()

    def test_a_slide_pickles_as_its_path(self, slide: Slide) -> None:
        """The unpickled slide reads the same pixels."""
        frame = slide.frame(slide.pixel_size.x_um * 2)
        box = Box(0, 0, 30, 30)
        with pickle.loads(pickle.dumps(slide)) as copy:
            assert copy.info == slide.info
            assert np.array_equal(copy.read(box, frame), slide.read(box, frame))

    def test_threads_read_the_same(self, slide: Slide) -> None:
        """Several threads at once read the same pixels as one."""
        frame = slide.frame(slide.pixel_size.x_um * 1.7)
        boxes = [Box(x, y, 64, 64) for x in range(0, 256, 32) for y in range(0, 256, 32)]
        alone = [slide.read(box, frame) for box in boxes]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda box: slide.read(box, frame), boxes))
        assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
