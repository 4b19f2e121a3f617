"""ExampleReader: a slide that is an array in a file (.exs), or a folder with such a file and a slide.json."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import SlideOpenError
from wsi_parse.geometry import Box
from wsi_parse.slides import Level, PixelSize, SlideInfo
from wsi_parse.slides.fingerprint import fingerprint
from wsi_parse_example.failing import fail


class ExampleReader:
    suffixes: ClassVar = (".exs",)

    def __init__(self, path: Path) -> None:
        fail("open")
        facts = json.loads((path / "slide.json").read_text()) if path.is_dir() else {}
        try:
            self._pixels = np.load(path / "pixels.exs" if path.is_dir() else path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise SlideOpenError(f"the array is damaged ({error})") from error
        height, width = self._pixels.shape[:2]
        size = PixelSize(facts["mpp"], facts["mpp"], "slide.json") if "mpp" in facts else None
        levels = (Level(width, height, 1.0, 1.0),)
        self.info = SlideInfo(path.name, "example-reader", "example", levels, size, None, None, fingerprint(path))

    @staticmethod
    def detect(path: Path) -> bool:
        return (path / "slide.json").exists() if path.is_dir() else path.suffix == ".exs"

    def read_level(self, level: int, box_level: Box) -> NDArray[np.uint8]:
        fail("read")
        return np.array(self._pixels[box_level.slices])

    def close(self) -> None:
        """Do nothing: the array is closed with the last reference to it."""
