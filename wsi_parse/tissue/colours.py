"""Cautions about the colours of a slide, from its overview: glass that is not grey, and a stain that is not H&E.

The bounds stand between what was measured on 400 pictures of H&E (six slides and the labelled tiles of seven data sets)
and what is wrong; `python -m benchmarks.tissue` prints the figures of the slides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from wsi_parse.cautions import Caution, tinted_glass, unusual_colours
from wsi_parse.geometry import Box
from wsi_parse.tissue.light import CANVAS, even_glass, sample_of, smoothed_density, white_of
from wsi_parse.tissue.morphology import dilated, locally

# The tint of even glass, the spread of its optical density over the colours, is at most 0.02 on slides and 0.12 on
# tiles (of DSB 2018); it was 0.26 where a colour transform had been left out.
# Without glass, the brightest light tells: of 155 tiles, those whose light is at least this bright have at most 0.12.
_BRIGHTEST, _BRIGHT_LIGHT = 99.5, 190
MOST_TINT = 0.15
# Only pixels of at least this density tell the hue, averaged over some micrometres; tissue needs that many of them.
_LEAST_DENSITY, _WIDTH_UM = 0.12, 4.0
# Black, and what is mixed with it, has no hue.
_BLACK, _BLACK_EDGE_UM = 0.6, 12.0
_MIN_PIXELS, _MIN_SHARE = 400, 0.02
_ROWS_AT_ONCE, _PIXELS_AT_ONCE = 256, 1 << 20
# Haematoxylin and eosin both absorb green most: at least 80 % of the pixels of a slide show it and at least 7 % of the
# palest tile, but at most 1.3 % of three tiles of immunohistochemistry.
_GREEN_LEADS = 1.15
LEAST_PINK = 0.03
# Between haematoxylin and eosin, the share of red in the density varies more than that of blue: 1.17 times and more
# on slides. It is the other way round where red and blue are swapped (0.2 to 0.85), and where there is hardly any
# eosin. But then red is absorbed much more than blue, and what is darker is less surely bluer (a correlation of at
# least -0.61 on the tiles whose red varies less than their blue).
SWAPPED, SURELY_SWAPPED = 0.88, 0.35
_DARKER_IS_BLUER, _SURELY_BLUER, _HARDLY_EOSIN = -0.1, -0.7, 0.08
# A smaller spread is that of rounding: the tissue has one colour.
_EVEN = 1e-6
# Of 177 tiles that were shown as YCbCr, the medians of both chroma bands are 124 to 169, and 170 have less than 0.6 of
# the spread of the first band in both. No tile of H&E has both: where green and blue vary as little, they are darker.
_CHROMA, _CHROMA_SPREAD = (110, 180), 0.6


@dataclass(frozen=True)
class Hue:
    """How tissue absorbs red, green and blue; a share is the part of a colour in the density of a pixel.

    Parameters
    ----------
    pink : float
        Share of the pixels that absorb clearly more green than red and blue.
    variation : float
        Spread (from the 10th to the 90th percentile) of the share of red, divided by that of blue.
    darker_is_redder : float
        Correlation of the density with the share of red minus that of blue.
    red_over_blue : float
        Median of the share of red minus that of blue.
    """

    pink: float
    variation: float
    darker_is_redder: float
    red_over_blue: float

    @property
    def is_swapped(self) -> bool:
        """Whether red and blue seem to be swapped."""
        if self.variation < SURELY_SWAPPED:
            return self.darker_is_redder < 0
        least = _DARKER_IS_BLUER if self.red_over_blue < _HARDLY_EOSIN else _SURELY_BLUER
        return self.variation < SWAPPED and self.darker_is_redder < least


def colour_cautions(rgb: NDArray[np.uint8], mpp: float, tissue: NDArray[np.bool_]) -> tuple[Caution, ...]:
    """Question the colours of a slide.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
        The overview of the slide.
    mpp : float
        Microns per pixel.
    tissue : bool array (h, w)
    """
    glass = even_glass(rgb)
    if glass is not None and tint_of(glass) > MOST_TINT:
        return (tinted_glass(glass.tolist()),)
    if looks_like_ycbcr(rgb, tissue):
        return (unusual_colours("The colours seem to be stored as YCbCr, but are shown as red, green and blue."),)
    if glass is None and (light := brightest_light(rgb)) is not None and tint_of(light) > MOST_TINT:
        red, green, blue = (round(value) for value in light)
        what = (
            f"The brightest parts of the slide are not grey: their red, green and blue are {red}, {green} and {blue}."
        )
        return (unusual_colours(what, round(tint_of(light), 3)),)
    hue = hue_of(rgb, mpp, tissue)
    if hue is None:
        return ()
    if hue.pink < LEAST_PINK:
        what = "The tissue does not have the colours of haematoxylin and eosin, but those of another stain."
        return (unusual_colours(what, round(hue.pink, 3)),)
    if hue.is_swapped:
        return (unusual_colours("The red and blue of the slide seem to be swapped.", round(hue.variation, 3)),)
    return ()


def brightest_light(rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return the brightest light (3,) of each colour; None if even that is dim, or there are too few pixels."""
    pixels = rgb[sample_of(rgb)].reshape(-1, 3)
    pixels = pixels[pixels.min(axis=1) < CANVAS]
    if len(pixels) < _MIN_PIXELS:
        return None
    light = np.asarray(np.percentile(pixels, _BRIGHTEST, axis=0))
    return light if light.max() >= _BRIGHT_LIGHT else None


def looks_like_ycbcr(rgb: NDArray[np.uint8], tissue: NDArray[np.bool_]) -> bool:
    """Return whether green and blue vary around the middle, and much less than red, as chroma does beside luma.

    Parameters are those of :func:`colour_cautions`.
    """
    sample = sample_of(rgb)
    pixels = rgb[sample][tissue[sample]]
    if len(pixels) < _MIN_PIXELS:
        return False
    low, median, high = np.percentile(pixels, [5, 50, 95], axis=0)
    spread, chroma = high - low, median[1:]
    is_in_the_middle = ((chroma >= _CHROMA[0]) & (chroma <= _CHROMA[1])).all()
    return bool(is_in_the_middle and spread[1:].max() < _CHROMA_SPREAD * spread[0])


def tint_of(colour: NDArray[np.float64]) -> float:
    """Return the spread of the optical density of a colour (3,): 0 for grey."""
    return float(np.ptp(np.log10(colour + 1)))


def hue_of(rgb: NDArray[np.uint8], mpp: float, tissue: NDArray[np.bool_]) -> Hue | None:
    """Measure the hue of tissue; None if too little of it is stained. As for :func:`colour_cautions`."""
    white = white_of(rgb)
    if white is None:
        return None
    width_px = round(_WIDTH_UM / mpp)
    averaged = uniform_filter(rgb, (width_px, width_px, 0)) if width_px > 1 else rgb
    edge_px = max(2.0, _BLACK_EDGE_UM / mpp)
    lit = locally(lambda part: ~dilated(smoothed_density(part, white, 0.0).min(axis=0) > _BLACK, edge_px), rgb, edge_px)
    lit &= tissue
    strips = [strip.slices for strip in Box(0, 0, rgb.shape[1], rgb.shape[0]).strips(_ROWS_AT_ONCE)]
    found = np.concatenate([_stained(averaged[strip], lit[strip], white) for strip in strips], axis=1)
    if found.shape[1] < max(_MIN_PIXELS, _MIN_SHARE * tissue.sum()):
        return None
    # One colour after another: each takes 40 MB on a slide of 100,000 px.
    red, green, blue, mean = found
    pink = float((green > _GREEN_LEADS * np.maximum(red, blue)).mean())
    shares_of_red, shares_of_blue = red / (3 * mean), blue / (3 * mean)
    spread_red, spread_blue = (
        np.subtract(*np.percentile(shares, [90, 10])) for shares in (shares_of_red, shares_of_blue)
    )
    excess = np.subtract(shares_of_red, shares_of_blue, out=shares_of_red)
    return Hue(
        pink,
        float(spread_red / max(spread_blue, 1e-3)),
        _correlation(excess, mean) if min(excess.std(), mean.std()) > _EVEN else 0.0,
        float(np.median(excess)),
    )


def _stained(rgb: NDArray[np.uint8], which: NDArray[np.bool_], white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the density of red, green and blue, and their mean (4, N), of those chosen pixels that are stained."""
    density = smoothed_density(rgb[which][:, None], white, 0.0)[..., 0]
    mean = density.mean(axis=0)
    chosen = mean > _LEAST_DENSITY
    return np.concatenate([density[:, chosen], mean[None, chosen]])


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return Pearson's correlation of two rows of numbers; numpy's would hold six copies of them."""
    of_one, of_other = one.mean(dtype=np.float64), other.mean(dtype=np.float64)
    sums = np.zeros(3)
    for first in range(0, len(one), _PIXELS_AT_ONCE):
        part = slice(first, first + _PIXELS_AT_ONCE)
        a, b = one[part] - of_one, other[part] - of_other
        sums += a @ b, a @ a, b @ b
    return float(sums[0] / np.sqrt(sums[1] * sums[2]))
