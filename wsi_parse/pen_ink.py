"""Where a pen was used on the glass: ink told from tissue by its optical density.

Haematoxylin and eosin absorb green most and let red or blue through; blue and green ink absorb red most, black ink
lets nothing through, and red ink is a red that only thick ink has. So ink is recognised where it is stronger than
tissue can be, and followed along the stroke from there: faint ink alone could as well be tissue. What is as wide as
tissue is not followed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from skimage.morphology import isotropic_dilation

from wsi_parse.geometry import Box

Density = NDArray[np.float32]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]

BLACK, COLD, WARM = 1, 2, 4

# Strong ink that is narrower is pigment or dirt; faint ink that is wider is tissue, for no pen is so thick.
NARROWEST_STROKE_UM = 80.0
WIDEST_STROKE_UM = 2000.0
# The edge of a stroke is paler than any ink.
EDGE_UM = 60.0
_STRIP_ROWS = 512


@dataclass(frozen=True)
class Usual:
    """What most of the slide's coloured pixels are like (medians), so that ink can be told by being different.

    Parameters
    ----------
    red_to_green : float
        Density of red over that of green.
    least : float
        Density of the least absorbed channel.
    """

    red_to_green: float = 0.4
    least: float = 0.1

    @classmethod
    def of(cls, density: Density, coloured: Mask) -> "Usual":
        """Measure it on the pixels of `coloured`."""
        pixels = density[coloured]
        if not len(pixels):
            return cls()
        ratio = pixels[:, 0] / np.maximum(pixels[:, 1], 0.01)
        return cls(float(np.median(ratio)), float(np.median(pixels.min(axis=1))))


def strong_ink(density: Density) -> Bits:
    """Tell where ink is stronger than tissue can be.

    Parameters
    ----------
    density : float32 array (h, w, 3)
        Optical density (decadic) of red, green, blue against the slide's white.

    Returns
    -------
    uint8 array (h, w)
        Bits `BLACK`, `COLD` (blue, green) and `WARM` (red).
    """
    red, green, blue = np.moveaxis(density, 2, 0)
    black = density.min(axis=2) > 0.6
    green_pen = (red - green > 0.2) & (red > 1.4 * green)
    blue_pen = (red > 0.5) & (red > 0.97 * green) & (red - blue > 0.35)
    warm = (green - red > 0.5) & (red < 0.3 * green) & (blue > 0.5 * green)
    return _bits(black, green_pen | blue_pen, warm)


def faint_ink(density: Density, usual: Usual) -> Bits:
    """Tell where there may be faint ink, alone or over tissue.

    Parameters
    ----------
    density : float32 array (h, w, 3)
    usual : Usual

    Returns
    -------
    uint8 array (h, w)
        Bits as of :func:`strong_ink`.
    """
    red, green, blue = np.moveaxis(density, 2, 0)
    least = density.min(axis=2)
    black = (least > np.clip(2 * usual.least, 0.2, 0.4)) & (least > 0.5 * density.max(axis=2))
    cold = (red > 1.15 * green) & (red - np.minimum(green, blue) > 0.05)
    # Over eosin blue ink looks like haematoxylin, but of more than any nuclei have at this scale.
    cold |= (red > 0.5) & (red > 0.75 * green) & (red - blue > 0.2)
    warm = (red < np.clip(0.75 * usual.red_to_green, 0.22, 0.38) * green) & (green - red > 0.15)
    return _bits(black, cold, warm & (blue > 0.4 * green))


def strokes(strong: Bits, faint: Bits, mpp: float) -> Mask:
    """Follow strokes of each colour from strong ink through faint ink, and through dark where they cross tissue.

    Parameters
    ----------
    strong, faint : uint8 array (h, w)
        As of :func:`strong_ink` and :func:`faint_ink`.
    mpp : float
        Microns per pixel.

    Returns
    -------
    bool array (h, w)
        Ink, with its pale edge.
    """
    ink = np.zeros(strong.shape, np.bool_)
    for colour in (BLACK, COLD, WARM):
        sure = _opened(strong & colour > 0, NARROWEST_STROKE_UM / mpp)
        if sure.any():
            possible = faint & (colour | BLACK) > 0
            possible &= ~_opened(possible, WIDEST_STROKE_UM / mpp)
            ink |= joined(sure, possible)
    edge_px = EDGE_UM / mpp
    return locally(lambda part: dilated(part, edge_px), ink, edge_px)


def joined(sure: Mask, possible: Mask) -> Mask:
    """Return what is sure, and what is possible and hangs together with it."""
    labels, count = label(possible | sure)
    kept = np.zeros(count + 1, np.bool_)
    kept[labels[sure]] = True
    return kept[labels]


def dilated(mask: Mask, radius_px: float) -> Mask:
    """Grow by a disk; the distance transform behind it is undefined where there is nothing to grow."""
    return isotropic_dilation(mask, radius_px) if mask.any() else mask


def locally(function: Callable[[Any], Any], image: NDArray[Any], reach_px: float) -> Any:  # noqa: ANN401
    """Apply a local function in strips, so that the arrays it makes on its way stay small.

    Parameters
    ----------
    function : callable
        From an array (h, w, ...) to one of (h, w).
    image : array (h, w, ...)
    reach_px : float
        How far away what the function reads may lie.

    Returns
    -------
    array (h, w)
        The same as ``function(image)``.
    """
    reach = int(np.ceil(reach_px)) + 1
    whole = Box(0, 0, image.shape[1], image.shape[0])
    parts = []
    for strip in whole.strips(_STRIP_ROWS):
        around = strip.expanded(reach).intersection(whole)
        parts.append(function(image[around.slices])[strip.relative_to(around).slices])
    return np.concatenate(parts)


def _opened(mask: Mask, width_px: float) -> Mask:
    def opened(part: Mask) -> Mask:
        return dilated(~dilated(~part, width_px / 2), width_px / 2)

    return locally(opened, mask, width_px)


def _bits(black: Mask, cold: Mask, warm: Mask) -> Bits:
    return (black * np.uint8(BLACK)) | (cold * np.uint8(COLD)) | (warm * np.uint8(WARM))
