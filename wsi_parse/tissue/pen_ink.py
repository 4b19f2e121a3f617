"""Pen ink on the glass, distinguished from tissue by its optical density.

Haematoxylin and eosin absorb green most and let red or blue through; blue and green ink absorb red most, black ink
lets nothing through, and red ink is redder than any stained tissue. So ink is recognised where it is stronger than
tissue can be, and followed along the stroke from there: faint ink alone could as well be tissue. Areas as wide as
tissue are not followed. Where green is not what the tissue absorbs most, as in immunohistochemistry, blue is its
counterstain, and blue ink must be much denser than the tissue.

Black where nothing was scanned is no ink: it ends sharply, so tissue beside it counts up to its edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from wsi_parse.tissue.morphology import Mask, dilated, joined, locally, opened

Density = NDArray[np.float32]
Bits = NDArray[np.uint8]

BLACK, COLD, WARM = 1, 2, 4
ALL_INKS = BLACK | COLD | WARM

# Strong ink that is narrower is pigment or dirt; faint ink that is wider is tissue, because no pen is that thick.
NARROWEST_STROKE_UM = 80.0
WIDEST_STROKE_UM = 2000.0
# The edge of a stroke is paler than any ink.
EDGE_UM = 60.0
# Black is filling if it is wider than a stroke, or lies along the frame of the picture; strokes run out of it, too.
FRAME_UM, FRAME_SHARE = 2000.0, 0.05
# If less of what is coloured is not as strong as ink, the colour of ink is that of the stain.
_REST_SHARE = 0.2
# Density of green divided by the larger one of red and blue: below this, the tissue is blue or brown. In H&E it is 1.2
# and more.
_GREEN_LEADS = 1.05


@dataclass(frozen=True)
class TypicalDensity:
    """Medians of the optical density over the slide's coloured pixels; ink is recognised by being different.

    Parameters
    ----------
    red_to_green : float
        Density of red divided by density of green.
    least : float
        Density of the least absorbed channel.
    pink : float
        Density of green minus density of red.
    red : float
        Density of red.
    lead : float
        Density of green divided by the larger one of red and blue.
    """

    red_to_green: float = 0.4
    least: float = 0.1
    pink: float = 0.1
    red: float = 0.1
    lead: float = 1.5

    @classmethod
    def of(cls, density: Density, coloured: Mask, inked: Mask) -> "TypicalDensity":
        """Measure the pixels of `coloured` (h, w) in `density` (3, h, w) that are not as strong as ink.

        The defaults stand if nothing is coloured; if nearly everything is as strong as ink, all of it is measured.
        """
        rest = coloured & ~inked
        if rest.sum() < _REST_SHARE * coloured.sum():
            rest = coloured
        if not rest.any():
            return cls()
        pixels = density[:, rest]
        red, green, blue = pixels
        lead = green / np.maximum(np.maximum(red, blue), 0.01)
        measured = red / np.maximum(green, 0.01), pixels.min(axis=0), green - red, red, lead
        return cls(*(float(np.median(values)) for values in measured))

    @property
    def is_blue(self) -> bool:
        """Whether blue is a colour of the tissue: a counterstain without eosin, alone or beside a brown one."""
        return self.lead < _GREEN_LEADS


def strong_ink(density: Density, typical: TypicalDensity | None = None) -> Bits:
    """Find where ink is stronger than tissue can be.

    Parameters
    ----------
    density : float32 array (3, h, w)
        Optical density (decadic) of red, green, blue against the slide's white.
    typical : TypicalDensity, optional
        Of the tissue; without it, H&E.

    Returns
    -------
    uint8 array (h, w)
        Bits `BLACK`, `COLD` (blue, green) and `WARM` (red).
    """
    red, green, blue = density
    black = density.min(axis=0) > 0.6
    green_pen = (red - green > 0.2) & (red > 1.4 * green)
    blue_pen = (red > 0.5) & (red > 0.97 * green) & (red - blue > 0.35)
    warm = (green - red > 0.5) & (red < 0.3 * green) & (blue > 0.5 * green)
    cold = green_pen | blue_pen
    if typical is not None and typical.is_blue:
        cold &= red > max(0.7, 3 * typical.red)
    return _bits(black, cold, warm)


def faint_ink(density: Density, typical: TypicalDensity) -> Bits:
    """Find where there may be faint ink, on glass or over tissue.

    Parameters
    ----------
    density : float32 array (3, h, w)
        As for :func:`strong_ink`.
    typical : TypicalDensity

    Returns
    -------
    uint8 array (h, w)
        Bits as from :func:`strong_ink`.
    """
    red, green, blue = density
    least = density.min(axis=0)
    black = (least > np.clip(2 * typical.least, 0.2, 0.4)) & (least > 0.5 * density.max(axis=0))
    cold = (red > 1.15 * green) & (red - np.minimum(green, blue) > 0.05)
    # Blue ink over eosin looks like haematoxylin, but denser than nuclei ever are at this scale.
    cold |= (red > 0.5) & (red > 0.75 * green) & (red - blue > 0.2)
    if typical.is_blue:
        cold &= red > max(0.4, 2 * typical.red)
    warm = red < np.clip(0.75 * typical.red_to_green, 0.22, 0.38) * green
    warm &= (green - red > max(0.15, 1.3 * typical.pink)) & (blue > 0.4 * green)
    return _bits(black, cold, warm)


def strokes(strong: Bits, faint: Bits, mpp: float) -> Mask:
    """Follow strokes of each colour from strong ink through faint ink, and through dark pixels over tissue.

    Parameters
    ----------
    strong, faint : uint8 array (h, w)
        As from :func:`strong_ink` and :func:`faint_ink`; other bits are ignored.
    mpp : float
        Microns per pixel.

    Returns
    -------
    bool array (h, w)
        True on ink and its pale edge.
    """
    ink = np.zeros(strong.shape, np.bool_)
    for colour in (BLACK, COLD, WARM):
        sure = opened(strong & colour > 0, NARROWEST_STROKE_UM / mpp)
        if sure.any():
            possible = faint & (colour | BLACK) > 0
            possible &= ~opened(possible, WIDEST_STROKE_UM / mpp)
            ink |= joined(sure, possible)
    edge_px = EDGE_UM / mpp
    return locally(lambda part: dilated(part, edge_px), ink, edge_px)


def filling(black: Mask, mpp: float) -> Mask:
    """Find black where nothing was scanned: parts that are wider than a stroke, or that lie along the frame.

    Parameters
    ----------
    black : bool array (h, w)
    mpp : float
        Microns per pixel.
    """
    labels, count = label(black)
    if not count:
        return black
    rim = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    on_frame_um = np.bincount(rim, minlength=count + 1) * mpp
    found = on_frame_um >= min(FRAME_UM, FRAME_SHARE * len(rim) * mpp)
    found[labels[opened(black, WIDEST_STROKE_UM / mpp)]] = True
    found[0] = False
    return found[labels]


def _bits(black: Mask, cold: Mask, warm: Mask) -> Bits:
    return (black * np.uint8(BLACK)) | (cold * np.uint8(COLD)) | (warm * np.uint8(WARM))
