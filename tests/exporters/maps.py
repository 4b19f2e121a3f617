"""Probability maps of known truth, and what a run would tell of a slide."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.exporters.made import CLASSES, PROMPTS, PROVENANCE
from wsi_parse.exporters.base import ExportContext
from wsi_parse.geometry import Box, Frame
from wsi_parse.objects.probability_map import ProbabilityMap

SLIDE = {
    "name": "slide.svs",
    "fingerprint": "f" * 64,
    "width_px": 4600,
    "height_px": 3300,
    "mpp_x_um": 0.25,
    "mpp_y_um": 0.5,
}


def frame_of(mpp: float) -> Frame:
    return Frame.of(int(SLIDE["width_px"]), int(SLIDE["height_px"]), (0.25, 0.5), mpp)


def ramp(frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Each pixel's own number in three channels, looked at but for a corner and a hole of odd size."""
    row, column = np.mgrid[: frame.height, : frame.width]
    values = np.stack([(row + column) % 251, (row * 7) % 256, (column * 3) % 256]).astype(np.uint8)
    seen = np.ones(frame.box.shape, bool)
    seen[: frame.height // 3, : frame.width // 3] = False
    seen[frame.height // 2 : frame.height // 2 + 33, 41:90] = False
    return values * seen, seen


def map_of(
    values: NDArray[np.uint8], seen: NDArray[np.bool_], frame: Frame, name: str = "cells"
) -> tuple[ProbabilityMap, list[Box]]:
    """Give a map from arrays; the list takes the boxes that are read."""
    asked: list[Box] = []

    def read(box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        asked.append(box)
        return values[:, *box.slices], seen[box.slices]

    is_seen: Callable[[Box], bool] = lambda box: bool(seen[box.slices].any())  # noqa: E731
    meanings = ("target",) * len(PROMPTS)
    return ProbabilityMap(name, frame, PROMPTS, meanings, read, is_seen), asked


def context_of(*maps: ProbabilityMap, offset: tuple[int, int] = (0, 0)) -> ExportContext:
    return ExportContext(CLASSES, offset, {**PROVENANCE, "slide": SLIDE, "digest": "0123456789abcdef"}, maps=maps)
