"""detect_tissue: which part of a slide is tissue.

Tissue is coloured. The spread of the optical density over red, green and blue does not change with the brightness of
the lamp, with canvas beside glass, or with a shadow; dust, frames and glass have no such spread.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.morphology import remove_small_holes, remove_small_objects

from wsi_parse.geometry import Box, Frame
from wsi_parse.settings import TissueSettings
from wsi_parse.slides.optical_density import optical_density
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.morphology import dilated, joined, locally
from wsi_parse.tissue.pen_ink import ALL_INKS, TypicalDensity, faint_ink, strokes, strong_ink

# Spread of the optical density that every tissue has somewhere, and that its palest parts (fat) still have: 16 and 8 of
# 240 grey levels. It is measured after smoothing, so that the noise of a camera or of JPEG stays below it.
SURE_COLOUR = 0.03
PALE_COLOUR = 0.015
SMOOTHING_UM, SMOOTHING_PX = 12.0, 1.5
MIN_SIDE_PX = 256
# A pixel at least this bright was never scanned: canvas is 255, and glass hardly reaches that.
CANVAS = 253
DARKEST_GLASS = 90
USUAL_GLASS = 244
# Gaps up to twice this width, between fibres or fat cells, count as tissue.
GAP_UM = 120.0
# In a piece of at least this size, clefts count as tissue too, and so does its torn rim.
SECTION_UM2 = 4e6
CLEFT_UM = 400.0
RIM_UM = 80.0
# On a tiny slide, tissue that covers at least this share of it is not a speck.
MIN_SHARE = 1 / 16


def detect_tissue(slide: Slide, settings: TissueSettings) -> TissueMask:
    """Find the tissue of a slide.

    Parameters
    ----------
    slide : Slide
    settings : TissueSettings
        With ``detect`` false, everything that was scanned counts as tissue.

    Returns
    -------
    TissueMask
        All False if there is no tissue: a blank slide is a valid result.
    """
    size = slide.pixel_size
    # At the usual scale a very small slide would have only a few pixels, and its fat would be as pale as glass.
    mpp = min(settings.mpp, slide.frame_to_fit(MIN_SIDE_PX).mpp_x)
    frame = slide.frame(max(mpp, size.x_um, size.y_um))
    scanned = _scanned(slide, frame)
    mask = np.zeros(frame.box.shape, np.bool_)
    unreadable: tuple[Box, ...] = ()
    if settings.detect:
        # What cannot be read is white, as what was not scanned.
        read = slide.read_readable(scanned, frame)
        mask[scanned.slices] = tissue_in_image(read.pixels, frame.mpp_x, settings)
        unreadable = read.tiles_level0
    else:
        mask[scanned.slices] = True
    return TissueMask(mask, frame, unreadable=unreadable)


def tissue_in_image(rgb: NDArray[np.uint8], mpp: float, settings: TissueSettings) -> NDArray[np.bool_]:
    """Find the tissue of a picture.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
    mpp : float
        Microns per pixel; at most about 50.
    settings : TissueSettings

    Returns
    -------
    bool array (h, w)
        True where there is tissue; False on glass, canvas, black frames and pen ink. It depends on the picture alone.
    """
    white = white_of(rgb)
    if white is None:
        return np.zeros(rgb.shape[:2], np.bool_)
    sigma_px = min(SMOOTHING_UM / mpp, SMOOTHING_PX)
    reach_px = _TRUNCATE * sigma_px + 1
    density = partial(smoothed_density, white=white, sigma_px=sigma_px)
    traits = locally(lambda part: _traits(density(part)), rgb, reach_px)
    # The colour fringes along the edge of a cover slip contain few pixels of sure colour.
    sure_px = int(_speck_um2(rgb, mpp, settings) / 4 / mpp**2)
    found = joined(traits & _SURE > 0, traits & _PALE > 0, max(1, sure_px))
    if (traits & ALL_INKS).any():
        sample = _sample(rgb)
        coloured = (found & (traits & ALL_INKS == 0))[sample]
        typical = TypicalDensity.of(smoothed_density(rgb[sample], white, 0.0), coloured)
        faint = locally(lambda part: faint_ink(density(part), typical), rgb, reach_px)
        ink = strokes(traits, faint, mpp)
        return _tidied(found & ~ink, mpp, settings, ink)
    return _tidied(found, mpp, settings, np.zeros_like(found))


def white_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Estimate the colour of empty glass.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)

    Returns
    -------
    float32 array (3,) or None
        None if nothing was scanned, that is, the picture is all canvas. If there is no glass, a grey as bright as the
        picture.
    """
    pixels = rgb[_sample(rgb)]
    scanned = pixels.min(axis=2) < CANVAS
    if not scanned.any():
        return None
    tint = np.ptp(smoothed_density(pixels, np.full(3, 255, np.float32), 0.0), axis=0)
    steps = np.abs(np.diff(pixels.astype(np.int16), axis=1, prepend=pixels[:, :1])).max(axis=2)
    # Glass is grey, or has a tint that does not vary as tissue does.
    glass = scanned & (pixels.min(axis=2) > DARKEST_GLASS) & ((tint < 0.02) | (tint < 0.06) & (steps <= 3))
    if glass.sum() < 0.005 * scanned.sum():
        brightest = float(np.percentile(pixels.max(axis=2), 99.5))
        return np.full(3, np.clip(brightest, DARKEST_GLASS, USUAL_GLASS), np.float32)
    # Shadows, dust and pale tissue are darker than most glass.
    light = pixels[glass].sum(axis=1, dtype=np.int32)
    return np.asarray(np.median(pixels[glass][light >= np.median(light)], axis=0), np.float32)


def smoothed_density(rgb: NDArray[np.uint8], white: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Return the optical density against `white`: log10(white / light) by the Beer-Lambert law, never below 0.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
    white : float32 array (3,)
    sigma_px : float
        The light is first smoothed by a Gaussian of this width; 0 means no smoothing.

    Returns
    -------
    float32 array (3, h, w)
    """
    light = np.ascontiguousarray(np.moveaxis(rgb, 2, 0), np.float32)
    if sigma_px:
        light = gaussian_filter(light, (0, sigma_px, sigma_px), truncate=_TRUNCATE)
    density = optical_density(light, white[:, None, None])
    return np.maximum(density, 0, out=density)


_TRUNCATE = 3.0
# These bits stand beside the bits of the inks.
_PALE, _SURE = 64, 128


def _traits(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    colour = np.ptp(density, axis=0)
    return strong_ink(density) | (colour > PALE_COLOUR) * np.uint8(_PALE) | (colour > SURE_COLOUR) * np.uint8(_SURE)


def _sample(rgb: NDArray[np.uint8]) -> tuple[slice, slice]:
    step = 1 + max(rgb.shape[:2]) // 1000
    return slice(None, None, step), slice(None, None, step)


def _tidied(mask: NDArray[np.bool_], mpp: float, settings: TissueSettings, ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop specks, close gaps and fill holes; ink stays excluded."""

    def without_specks(mask: NDArray[np.bool_], min_area_um2: float) -> NDArray[np.bool_]:
        return remove_small_objects(mask, max_size=int(min_area_um2 / mpp**2))

    speck_um2 = _speck_um2(mask, mpp, settings)
    mask = _closed(without_specks(mask, speck_um2), GAP_UM / mpp, 0.0)
    mask |= _closed(without_specks(mask, SECTION_UM2), CLEFT_UM / mpp, RIM_UM / mpp)
    max_hole_px = int(settings.max_hole_area_um2 / mpp**2)
    # A gap that is open to the edge of the picture is not a hole: the padding makes it larger than the largest hole.
    edge = math.isqrt(max_hole_px) // 2 + 1
    mask = remove_small_holes(np.pad(mask, edge), max_size=max_hole_px)[edge:-edge, edge:-edge]
    return without_specks(mask & ~ink, speck_um2)


def _speck_um2(image: NDArray[Any], mpp: float, settings: TissueSettings) -> float:
    return min(settings.min_area_um2, MIN_SHARE * image.shape[0] * image.shape[1] * mpp**2)


def _closed(mask: NDArray[np.bool_], radius_px: float, rim_px: float) -> NDArray[np.bool_]:
    """Close gaps up to twice the radius wide, and add a rim; gaps at the edge of the picture are not closed."""
    if not mask.any():
        return mask
    edge = math.ceil(radius_px) + 1
    grown = locally(lambda part: dilated(part, radius_px), np.pad(mask, edge), radius_px)
    shrunk = locally(lambda part: ~dilated(~part, radius_px - rim_px), grown, radius_px)
    return shrunk[edge:-edge, edge:-edge]


def _scanned(slide: Slide, frame: Frame) -> Box:
    bounds = slide.info.bounds_level0
    if bounds is None:
        return frame.box
    (left, top), (right, bottom) = frame.from_level0([[bounds.x, bounds.y], [bounds.right, bounds.bottom]])
    box = Box.from_corners(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    return box.intersection(frame.box)
