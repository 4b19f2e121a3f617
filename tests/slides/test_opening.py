"""Readers are asked in a fixed order."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_parse.errors import SlideOpenError
from wsi_parse.geometry import Box
from wsi_parse.slides import open_slide
from wsi_parse.slides.opening import READERS

PIXELS = np.full((40, 50, 3), 200, np.uint8)


def test_readers_of_other_packages_are_asked_last(tmp_path: Path) -> None:
    class Own:
        def __init__(self, path: Path) -> None:
            from wsi_parse.slides.array_reader import ArrayReader

            self.info = ArrayReader(PIXELS, path.name, "own").info

        def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
            return PIXELS[box_level.slices].copy()

        def close(self) -> None:
            """Do nothing: no file is open."""

    (tmp_path / "a.own").write_text("own format")
    READERS.add("own", Own)
    try:
        assert open_slide(tmp_path / "a.own").info.reader == "own"
    finally:
        READERS.remove("own")
    with pytest.raises(SlideOpenError, match="cannot be opened"):
        open_slide(tmp_path / "a.own")
