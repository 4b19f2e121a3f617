"""detect_tissue: which part of a slide is searched, and which part of that is tissue.

Tissue is coloured, by any stain. The spread of the optical density over red, green and blue does not change with the
brightness of the lamp, with canvas beside glass, or with a shadow; dust, frames and glass have no such spread.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from wsi_parse.cautions import no_tissue
from wsi_parse.geometry import Box, Frame
from wsi_parse.settings import TissueSettings
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.colours import colour_cautions
from wsi_parse.tissue.light import TRUNCATE, mean_density, sample_of, smoothed_density, white_of
from wsi_parse.tissue.mask import TissueMask
from wsi_parse.tissue.morphology import dilated, disk, joined, locally, without_small_parts
from wsi_parse.tissue.pen_ink import ALL_INKS, BLACK, TypicalDensity, faint_ink, filling, strokes, strong_ink

# Spread of the optical density that every tissue has somewhere, and that its palest parts (fat) still have: 16 and 8 of
# 240 grey levels. It is measured after smoothing, so that the noise of a camera or of JPEG stays below it.
SURE_COLOUR = 0.03
PALE_COLOUR = 0.015
# Near tissue that much, 4 of 240 grey levels, is a loose cell or a thin fibre; elsewhere it may be anything.
FAINT_COLOUR = 0.008
NEAR_UM = 100.0
BLURRED_EDGE_UM = 8.0
# A loose cell is paler at its edge.
CELL_EDGE_UM = 12.0
SMOOTHING_UM, SMOOTHING_PX = 12.0, 1.5
MIN_SIDE_PX = 256
# Gaps up to twice this width, between fibres or fat cells, count as tissue.
GAP_UM = 120.0
# In a piece of at least this size, clefts count as tissue too, and so does its torn rim.
SECTION_UM2 = 4e6
CLEFT_UM = 400.0
RIM_UM = 80.0
# Where the mean optical density over this width is lower, there is glass: a gap between fibres, a lumen, a torn rim.
GLASS_DENSITY = 0.06
GLASS_WIDTH_UM = 8.0
# Beside tissue of this density, what is a little paler than tissue is its edge.
DENSE, GLASS_EDGE = 0.11, 0.04
# On a small slide, tissue that covers at least this share of it is not a speck; on one that is hardly a field of a
# microscope, a nucleus is none.
MIN_SHARE = 1 / 16
FIELD_UM2, NUCLEUS_UM2 = 1e5, 20.0


def detect_tissue(slide: Slide, settings: TissueSettings) -> TissueMask:
    """Find the tissue of a slide.

    Parameters
    ----------
    slide : Slide
    settings : TissueSettings
        With ``detect`` false, everything that was scanned is searched.

    Returns
    -------
    TissueMask
        All False if there is no tissue: a blank slide is a valid result, with a caution.
    """
    size = slide.pixel_size
    # At the usual scale a very small slide would have only a few pixels, and its fat would be as pale as glass.
    mpp = min(settings.mpp, slide.frame_to_fit(MIN_SIDE_PX).mpp_x)
    frame = slide.frame(max(mpp, size.x_um, size.y_um))
    scanned = _scanned(slide, frame)
    search, tissue = np.zeros((2, *frame.box.shape), np.bool_)
    # What cannot be read is white, as what was not scanned.
    read = slide.read_readable(scanned, frame)
    rgb = read.pixels
    search[scanned.slices] = tissue_in_image(rgb, frame.mpp_x, settings) if settings.detect else True
    tissue[scanned.slices] = search[scanned.slices] & absorbing(rgb, frame.mpp_x)
    has_tissue = tissue.sum() * frame.pixel_area_um2 >= NUCLEUS_UM2
    cautions = colour_cautions(rgb, frame.mpp_x, tissue[scanned.slices]) if has_tissue else (no_tissue(),)
    return TissueMask(search, frame, None, cautions, read.tiles_level0 if settings.detect else (), tissue)


def absorbing(rgb: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Find where a picture is not glass: the tissue area is what is so inside the search area.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
    mpp : float
        Microns per pixel.

    Returns
    -------
    bool array (h, w)
    """
    density = mean_density(rgb, mpp, GLASS_WIDTH_UM)
    # A nucleus at the edge of a gap shares its pixel with glass.
    edge = (density > GLASS_EDGE) & (_most_beside(density, GLASS_WIDTH_UM / mpp) > DENSE)
    found: NDArray[np.bool_] = (density >= GLASS_DENSITY) | edge
    return found


def _most_beside(values: NDArray[np.float32], reach_px: float) -> NDArray[np.float32]:
    """Return the largest value up to a distance; at least one pixel."""
    reach = max(1, round(reach_px))
    found: NDArray[np.float32] = locally(lambda part: maximum_filter(part, footprint=disk(reach)), values, reach)
    return found


def tissue_in_image(rgb: NDArray[np.uint8], mpp: float, settings: TissueSettings) -> NDArray[np.bool_]:
    """Find the search area of a picture: its tissue with small gaps, and with the rim of large pieces.

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
    reach_px = TRUNCATE * sigma_px + 1
    density = partial(smoothed_density, white=white, sigma_px=sigma_px)
    traits = locally(lambda part: _traits(density(part)), rgb, reach_px)
    # The colour fringes along the edge of a cover slip contain few pixels of sure colour.
    sure_px = int(_speck_um2(rgb, mpp, settings) / 4 / mpp**2)
    found = joined(traits & _SURE > 0, traits & _PALE > 0, max(1, sure_px))
    marks = np.zeros_like(found)
    if (traits & ALL_INKS).any():
        sample = sample_of(rgb)
        typical = TypicalDensity.of(
            smoothed_density(rgb[sample], white, 0.0), found[sample], (traits & ALL_INKS > 0)[sample]
        )
        black = filling(traits & BLACK > 0, mpp)
        inks = locally(lambda part: strong_ink(density(part), typical), rgb, reach_px) if typical.is_blue else traits
        faint = locally(lambda part: faint_ink(density(part), typical), rgb, reach_px)
        marks = black | strokes(inks * ~black, faint * ~black, mpp)
    mask = _tidied(found & ~marks, mpp, settings, marks)
    return _with_loose_cells(mask, traits & _FAINT > 0, absorbing(rgb, mpp), mpp) & ~marks


# These bits stand beside the bits of the inks.
_FAINT, _PALE, _SURE = 32, 64, 128


def _traits(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    colour = np.ptp(density, axis=0)
    found = strong_ink(density)
    for bit, least in ((_FAINT, FAINT_COLOUR), (_PALE, PALE_COLOUR), (_SURE, SURE_COLOUR)):
        found |= (colour > least) * np.uint8(bit)
    return found


def _with_loose_cells(
    mask: NDArray[np.bool_], faint: NDArray[np.bool_], dense: NDArray[np.bool_], mpp: float
) -> NDArray[np.bool_]:
    """Add what is faintly coloured near the tissue; beside it only what absorbs, because its edge is blurred."""
    near_px, edge_px, cell_px = NEAR_UM / mpp, max(1.0, BLURRED_EDGE_UM / mpp), CELL_EDGE_UM / mpp
    near = faint & locally(lambda part: dilated(part, near_px), mask, near_px)
    edge = locally(lambda part: dilated(part, edge_px), mask, edge_px)
    cells = locally(lambda part: dilated(part, cell_px), near & ~edge, cell_px)
    return np.asarray(mask | near & dense | cells)


def _tidied(
    mask: NDArray[np.bool_], mpp: float, settings: TissueSettings, marks: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Drop specks, close gaps and fill holes; ink and black filling stay excluded."""

    def without_specks(mask: NDArray[np.bool_], min_area_um2: float) -> NDArray[np.bool_]:
        return without_small_parts(mask, int(min_area_um2 / mpp**2))

    speck_um2 = _speck_um2(mask, mpp, settings)
    mask = _closed(without_specks(mask, speck_um2), GAP_UM / mpp, 0.0)
    mask |= _closed(without_specks(mask, SECTION_UM2), CLEFT_UM / mpp, RIM_UM / mpp)
    max_hole_px = int(settings.max_hole_area_um2 / mpp**2)
    # A gap that is open to the edge of the picture is not a hole: the padding makes it larger than the largest hole.
    edge = math.isqrt(max_hole_px) // 2 + 1
    mask = ~without_small_parts(~np.pad(mask, edge), max_hole_px)[edge:-edge, edge:-edge]
    return without_specks(mask & ~marks, speck_um2)


def _speck_um2(image: NDArray[Any], mpp: float, settings: TissueSettings) -> float:
    area_um2 = image.shape[0] * image.shape[1] * mpp**2
    least = MIN_SHARE * area_um2
    return min(settings.min_area_um2, least if area_um2 > FIELD_UM2 else min(NUCLEUS_UM2, least))


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
