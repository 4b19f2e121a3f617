"""OpenCV, where it can be imported: some steps take a fraction of their time with it, and give the same."""

import importlib
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def opencv() -> Any:  # noqa: ANN401 - a module or None
    """Import OpenCV when it is first needed.

    Returns
    -------
    module or None
        None where it cannot be imported: another distribution of it, installed beside ours, may want libraries of a
        desktop that a server lacks. Whoever asks has another way.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError:
        return None
