"""Samples of a slide's tissue, from which a model estimates the light and the staining once per slide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from wsi_parse.geometry import Box, Frame
from wsi_parse.slides.optical_density import optical_density
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.morphology import dilated, opened
from wsi_parse.tissue.pen_ink import COLD, WARM, TypicalDensity, strong_ink

_SAMPLES, _SAMPLE_PX = 24, 320
# Black absorbs all colours alike, or nearly all light: the darkest nucleus still lets some blue through.
_DARK, _NEUTRAL, _BLACK = 0.8, 0.15, 1.2
_NARROWEST_BLACK_UM = 1.0
# Ink is even over a width that no nucleus has.
_INK_WIDTH_UM, _INK_SMOOTHING_UM = 14.0, 2.0
# Around black and ink, light is mixed.
_EDGE_UM = 3.0
# Where something is in a picture; None: nowhere, as nearly always.
_Found = NDArray[np.bool_] | None


@dataclass(frozen=True)
class Sample:
    """A small picture of tissue.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
    usable : bool array (h, w)
        True on tissue; False on glass, ink and black.
    """

    image: NDArray[np.uint8]
    usable: NDArray[np.bool_]

    @classmethod
    def whole(cls, image: NDArray[np.uint8]) -> "Sample":
        """Take all of a picture that is known to be tissue."""
        return cls(image, np.ones(image.shape[:2], np.bool_))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The usable pixels, uint8 array (N, 3)."""
        return self.image[self.usable]


def read_samples(slide: Slide, tissue: TissueMask, mpp: float) -> list[Sample]:
    """Read samples of tissue that are spread over a slide.

    Parameters
    ----------
    slide : Slide
    tissue : TissueMask
    mpp : float
        Microns per pixel of the samples.

    Returns
    -------
    list of Sample
        At most 24 of at most 320 x 320 pixels, always the same ones, none of them twice; a small slide is sampled
        whole. None if there is no tissue.
    """
    frame = slide.frame(mpp)
    samples = []
    for square in sample_boxes(tissue, frame):
        box = square.intersection(slide.box_on_slide(frame))
        if not box.area:
            continue
        read = slide.read_readable(box, frame)
        # White in place of what cannot be read would be taken for glass.
        usable = _tissue_in(tissue, box, frame) & read.known(box)
        if usable.any():
            samples.append(Sample(read.pixels, usable))
    return _without_foreign(samples, mpp)


def sample_boxes(tissue: TissueMask, frame: Frame) -> list[Box]:
    """Choose squares of a lattice over `frame`, evenly over the tissue in row-major order."""
    rows, columns = np.nonzero(_sampled(tissue))
    if not len(rows):
        return []
    x = ((columns + 0.5) * tissue.frame.scale_x / frame.scale_x / _SAMPLE_PX).astype(np.int64)
    y = ((rows + 0.5) * tissue.frame.scale_y / frame.scale_y / _SAMPLE_PX).astype(np.int64)
    squares = np.unique(np.stack([y, x], axis=1), axis=0)
    if len(squares) > _SAMPLES:
        order = np.lexsort((x, y))
        pick = order[np.unique(np.linspace(0, len(rows) - 1, _SAMPLES).round().astype(int))]
        squares = np.unique(np.stack([y[pick], x[pick]], axis=1), axis=0)
    return [Box(left * _SAMPLE_PX, top * _SAMPLE_PX, _SAMPLE_PX, _SAMPLE_PX) for top, left in squares.tolist()]


def _sampled(tissue: TissueMask) -> NDArray[np.bool_]:
    """Return the tissue area; if all of it is as pale as glass, what is searched."""
    return tissue.tissue if tissue.tissue.any() else tissue.mask


def _tissue_in(tissue: TissueMask, box: Box, frame: Frame) -> NDArray[np.bool_]:
    """Return which pixels of a box of `frame` lie on tissue."""
    x = (np.arange(box.x, box.right) + 0.5) * frame.scale_x / tissue.frame.scale_x
    y = (np.arange(box.y, box.bottom) + 0.5) * frame.scale_y / tissue.frame.scale_y
    columns = np.minimum(x.astype(np.int64), tissue.frame.width - 1)
    rows = np.minimum(y.astype(np.int64), tissue.frame.height - 1)
    return _sampled(tissue)[rows[:, None], columns]


def _without_foreign(samples: list[Sample], mpp: float) -> list[Sample]:
    """Exclude black and ink, also where they are too narrow to be seen in the overview of the slide."""
    if not samples:
        return []
    some = [sample.image.reshape(-1, 3)[np.flatnonzero(sample.usable)[::16]] for sample in samples]
    white = np.percentile(np.concatenate(some), 99, axis=0)
    levels = np.arange(256, dtype=np.float32)[:, None]
    density_of_level = optical_density(levels, np.maximum(white, 128.0)).T
    density = [_density(sample.image, density_of_level) for sample in samples]
    inks = [_ink(each, mpp) for each in density]
    if any(ink is not None for ink in inks):
        inks = _inks_on_tissue(samples, density, inks, mpp)
    found = []
    for sample, each, ink in zip(samples, density, inks, strict=True):
        usable = sample.usable
        for foreign in (_black(each, mpp), ink):
            usable = usable if foreign is None else usable & ~foreign
        found.append(Sample(sample.image, usable))
    return found


def _density(image: NDArray[np.uint8], of_level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the optical density (3, h, w) of a picture, by that of each level (3, 256) of the colours."""
    density = np.empty((3, *image.shape[:2]))
    for channel in range(3):
        # Without a check of each index, which a byte does not need.
        np.take(of_level[channel], image[..., channel], out=density[channel], mode="clip")
    return density


def _inks_on_tissue(
    samples: list[Sample], density: list[NDArray[np.float64]], inks: list[_Found], mpp: float
) -> list[_Found]:
    """Find the ink again where some was found, if the tissue is blue: then less of it is ink, and nothing more."""
    usable = [sample.usable for sample in samples]
    inked = [
        np.zeros(int(tissue.sum()), np.bool_) if ink is None else ink[tissue]
        for tissue, ink in zip(usable, inks, strict=True)
    ]
    tissue = np.concatenate([each[:, of] for of, each in zip(usable, density, strict=True)], axis=1)
    strong = np.concatenate(inked)
    typical = TypicalDensity.of(tissue, np.ones_like(strong), strong)
    if not typical.is_blue:
        return inks
    return [None if ink is None else _ink(each, mpp, typical) for ink, each in zip(inks, density, strict=True)]


def _black(density: NDArray[np.float64], mpp: float) -> _Found:
    red, green, blue = density
    least, most = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    black = (least > _DARK) & (most - least < _NEUTRAL) | (least > _BLACK)
    return _widened(black, _NARROWEST_BLACK_UM / mpp, _EDGE_UM / mpp)


def _ink(density: NDArray[np.float64], mpp: float, typical: TypicalDensity | None = None) -> _Found:
    sigma = _INK_SMOOTHING_UM / mpp
    smooth = gaussian_filter(density, (0, sigma, sigma))
    ink = strong_ink(smooth, typical) & (COLD | WARM) > 0
    return _widened(ink, _INK_WIDTH_UM / mpp, (_EDGE_UM + _INK_SMOOTHING_UM) / mpp)


def _widened(mask: NDArray[np.bool_], width_px: float, edge_px: float) -> _Found:
    """Return the parts of a mask that have at least a width, with an edge around them; None if there are none."""
    wide = opened(mask, width_px) if mask.any() else mask
    return dilated(wide, edge_px) if wide.any() else None
