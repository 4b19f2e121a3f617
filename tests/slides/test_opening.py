"""Readers are tried in a fixed order; those of other packages come first only where their claim is exclusive."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from wsi_parse.errors import PluginError, SlideOpenError, UnsupportedSlideError, UsageError
from wsi_parse.geometry import Box
from wsi_parse.registry import READERS
from wsi_parse.slides import SlideOptions, list_slides, open_slide
from wsi_parse.slides.fingerprint import fingerprint

PIXELS = np.full((40, 50, 3), 200, np.uint8)


class Own:
    """Claims what its name ends in, and folders that hold a file called "own"."""

    suffixes: ClassVar = (".own",)

    def __init__(self, path: Path) -> None:
        from wsi_parse.slides.array_reader import ArrayReader

        self.info = ArrayReader(PIXELS, path.name, "own", fingerprint(path)).info

    @staticmethod
    def detect(path: Path) -> bool:
        return (path / "own").exists() if path.is_dir() else path.suffix == ".own"

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        return PIXELS[box_level.slices].copy()

    def close(self) -> None:
        """Do nothing: no file is open."""


class ClaimsAll(Own):
    @staticmethod
    def detect(path: Path) -> bool:
        return True


@pytest.fixture
def own() -> Iterator[None]:
    READERS.add("own", Own)
    yield
    READERS.remove("own")


def test_readers_of_other_packages_are_asked_last(tmp_path: Path, own: None) -> None:
    (tmp_path / "a.own").write_text("own format")
    assert open_slide(tmp_path / "a.own").info.reader == "own"
    READERS.remove("own")
    with pytest.raises(SlideOpenError, match="cannot be opened"):
        open_slide(tmp_path / "a.own")
    READERS.add("own", Own)


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.tif", "tiffslide"),
        # The ending is its own, though the content is a TIFF that ours would open, too.
        ("a.own", "own"),
    ],
)
def test_what_a_built_in_reader_knows_by_name_and_content_is_its_own(tmp_path: Path, name: str, reader: str) -> None:
    tifffile.imwrite(tmp_path / name, PIXELS.repeat(8, 0).repeat(8, 1), tile=(64, 64), photometric="rgb", ome=True)
    READERS.add("own", ClaimsAll)
    try:
        assert open_slide(tmp_path / name).info.reader == reader
    finally:
        READERS.remove("own")


def test_content_that_no_built_in_reader_recognises_goes_to_the_one_that_claims_it(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("own format")
    READERS.add("own", ClaimsAll)
    try:
        assert open_slide(tmp_path / "a.tif").info.reader == "own"
    finally:
        READERS.remove("own")


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "many" / "slide").mkdir(parents=True)
        (tmp_path / "many" / "slide" / "own").write_text("own format")
        (tmp_path / "many" / "b.own").write_text("own format")
        (tmp_path / "many" / "other").mkdir()
        return tmp_path / "many"

    def test_a_folder_that_a_reader_claims_is_a_slide(self, folder: Path, own: None) -> None:
        with open_slide(folder / "slide") as slide:
            assert (slide.info.reader, slide.name) == ("own", "slide")
        assert list_slides([folder / "slide"]) == [folder / "slide"]

    def test_any_other_folder_is_not(self, folder: Path, own: None) -> None:
        with pytest.raises(SlideOpenError, match="is a folder, not a slide"):
            open_slide(folder / "other")
        with pytest.raises(SlideOpenError, match="is a folder, not a slide"):
            open_slide(folder / "slide", SlideOptions(reader="image"))
        READERS.remove("own")
        with pytest.raises(SlideOpenError, match="is a folder, not a slide"):
            open_slide(folder / "slide")
        (folder / "slide" / "zarr.json").touch()
        with pytest.raises(UnsupportedSlideError, match="OME-Zarr"):
            open_slide(folder / "slide")
        READERS.add("own", Own)

    def test_a_list_has_slides_of_every_reader(self, folder: Path, own: None) -> None:
        (folder / "c.svs").touch()
        assert [path.name for path in list_slides([folder])] == ["b.own", "c.svs", "slide"]
        READERS.remove("own")
        assert [path.name for path in list_slides([folder])] == ["c.svs"]
        (folder / "c.svs").unlink()
        with pytest.raises(UsageError, match=r"contains no slide.*\.svs.*\.png"):
            list_slides([folder])
        READERS.add("own", Own)

    def test_the_fingerprint_of_a_folder_is_that_of_its_content(self, folder: Path, tmp_path: Path) -> None:
        before = fingerprint(folder)
        moved = folder.rename(tmp_path / "moved")
        assert fingerprint(moved) == before
        (moved / "slide" / "own").write_text("own formaT")
        assert fingerprint(moved) != before


class Failing(Own):
    def __init__(self, path: Path) -> None:
        raise ZeroDivisionError("division by zero")


class Blind(Own):
    @staticmethod
    def detect(path: Path) -> bool:
        raise ZeroDivisionError("division by zero")


class Unreadable(Own):
    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize("kind", [Failing, Blind])
def test_a_reader_that_fails_is_named_and_the_others_are_tried(
    tmp_path: Path, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.own").write_text("own format")
    tifffile.imwrite(tmp_path / "b.own", PIXELS, photometric="rgb")
    READERS.add("own", kind)
    try:
        with pytest.raises(
            SlideOpenError, match="The reader own failed: ZeroDivisionError: division by zero"
        ) as caught:
            open_slide(tmp_path / "a.own")
        if kind is Failing:
            assert isinstance(caught.value.__cause__, PluginError)
            assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)
        assert open_slide(tmp_path / "b.own").info.reader == "image"
        (tmp_path / "folder").mkdir()
        assert len(list_slides([tmp_path])) == 2
        assert ("The reader own failed" in caplog.text) == (kind is Blind)
    finally:
        READERS.remove("own")


def test_a_reader_that_fails_later_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.own").write_text("own format")
    READERS.add("own", Unreadable)
    try:
        with pytest.raises(PluginError, match=r"The reader own failed: ZeroDivisionError: division by zero\. Report"):
            open_slide(tmp_path / "a.own")
    finally:
        READERS.remove("own")


def test_a_broken_reader_does_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb")
    (tmp_path / "b.png").write_text("not a picture")
    READERS.add("broken", object)
    try:
        assert open_slide(tmp_path / "a.tif").info.reader == "image"
        with caplog.at_level(logging.WARNING):
            assert len(list_slides([tmp_path])) == 2
        assert "The reader broken cannot be loaded (it has no suffixes, detect, read_level, close)" in caplog.text
        with pytest.raises(SlideOpenError, match="The reader broken cannot be loaded"):
            open_slide(tmp_path / "b.png")
    finally:
        READERS.remove("broken")
