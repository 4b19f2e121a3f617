"""Samples of a slide's tissue, from which a model estimates the light and the staining once per slide."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask

_SAMPLES, _SAMPLE_PX = 24, 320


def read_samples(slide: Slide, tissue: TissueMask, mpp: float) -> list[NDArray[np.uint8]]:
    """Read square samples of tissue that are spread over a slide.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    mpp : float
        Microns per pixel of the samples.

    Returns
    -------
    list of uint8 array (320, 320, 3)
        RGB; at most 24, always the same ones, and none if there is no tissue.
    """
    frame = slide.frame(mpp)
    samples = (slide.read_readable(box, frame) for box in sample_boxes(tissue, frame))
    # White in place of what cannot be read would be taken for glass.
    return [sample.pixels for sample in samples if not sample.unknown]


def sample_boxes(tissue: TissueMask, frame: Frame) -> list[Box]:
    """Place the samples, in pixels of `frame`, evenly over the tissue in row-major order."""
    rows, columns = np.nonzero(tissue.mask)
    if not len(rows):
        return []
    pick = np.unique(np.linspace(0, len(rows) - 1, _SAMPLES).round().astype(int))
    x = (columns[pick] + 0.5) * tissue.frame.scale_x / frame.scale_x - _SAMPLE_PX / 2
    y = (rows[pick] + 0.5) * tissue.frame.scale_y / frame.scale_y - _SAMPLE_PX / 2
    return [Box(int(left), int(top), _SAMPLE_PX, _SAMPLE_PX) for left, top in zip(x, y, strict=True)]
