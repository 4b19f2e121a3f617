"""A machine on which OpenCV cannot be imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from wsi_parse.slides.opencv import opencv


@contextmanager
def without_opencv() -> Iterator[None]:
    """Let OpenCV not be importable, as beside a distribution of it that wants libraries of a desktop."""
    with patch.dict(sys.modules, {"cv2": None}):
        opencv.cache_clear()
        try:
            yield
        finally:
            opencv.cache_clear()
