"""The light of a slide: the colour of its empty glass, and the optical density against it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from wsi_parse.slides.optical_density import optical_density
from wsi_parse.tissue.morphology import locally

# A pixel at least this bright was never scanned: canvas is 255, and glass hardly reaches that.
CANVAS = 253
DARKEST_GLASS = 90
USUAL_GLASS = 244
TRUNCATE = 3.0
_GLASS_SHARE = 0.005
# Even glass: steps between neighbouring pixels, distance from its colour, share of the picture.
_EVEN_STEP, _SAME_COLOUR, _EVEN_SHARE = 4, 8, 0.08
_MIN_PIXELS = 400


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
    pixels = rgb[sample_of(rgb)]
    least = _over_colours(np.minimum, pixels)
    scanned = least < CANVAS
    if not scanned.any():
        return None
    tint = np.ptp(smoothed_density(pixels, np.full(3, 255, np.float32), 0.0), axis=0)
    steps = _over_colours(np.maximum, np.abs(np.diff(pixels.astype(np.int16), axis=1, prepend=pixels[:, :1])))
    # Glass is grey, or has a tint that does not vary as tissue does.
    glass = scanned & (least > DARKEST_GLASS) & ((tint < 0.02) | (tint < 0.06) & (steps <= 3))
    if glass.sum() < _GLASS_SHARE * scanned.sum():
        brightest = float(np.percentile(_over_colours(np.maximum, pixels), 99.5))
        return np.full(3, np.clip(brightest, DARKEST_GLASS, USUAL_GLASS), np.float32)
    # Shadows, dust and pale tissue are darker than most glass.
    light = pixels[glass].sum(axis=1, dtype=np.int32)
    return np.asarray(np.median(pixels[glass][light >= np.median(light)], axis=0), np.float32)


def even_glass(rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return the colour (3,) of the palest even part of a picture; None if there is hardly any, or nothing even."""
    pixels = rgb[sample_of(rgb)]
    # Never below 0.
    steps = _over_colours(np.maximum, _beside(np.maximum, pixels) - _beside(np.minimum, pixels))
    scanned = _over_colours(np.minimum, pixels) < CANVAS
    even = (steps <= _EVEN_STEP) & scanned & (_over_colours(np.maximum, pixels) > DARKEST_GLASS)
    if even.size < _MIN_PIXELS or not even.any():
        return None
    found = pixels[even].astype(np.float64)
    light = found.mean(axis=1)
    colour = np.asarray(np.median(found[light >= np.median(light)], axis=0))
    share = (np.abs(found - colour).max(axis=1) <= _SAME_COLOUR).sum() / even.size
    lights = pixels[scanned].mean(axis=1)
    is_palest = colour.mean() + _SAME_COLOUR >= np.percentile(lights, 100 * (1 - _EVEN_SHARE))
    return colour if share > _EVEN_SHARE and is_palest else None


def mean_density(rgb: NDArray[np.uint8], mpp: float, width_um: float) -> NDArray[np.float32]:
    """Return the optical density, averaged over the colours and over squares of a width.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
        If there is no even glass in it, the usual glass is assumed.
    mpp : float
        Microns per pixel.
    width_um : float

    Returns
    -------
    float32 array (h, w)
    """
    white = white_of(rgb)
    if white is None:
        return np.zeros(rgb.shape[:2], np.float32)
    # Without even glass, pale fibres would be taken for it.
    against = np.maximum(white, np.float32(USUAL_GLASS)) if even_glass(rgb) is None else white
    width_px = max(1, round(width_um / mpp))

    def averaged(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        density = smoothed_density(part, against, 0.0).mean(axis=0)
        return uniform_filter(density, width_px) if width_px > 1 else density

    found: NDArray[np.float32] = locally(averaged, rgb, width_px / 2 + 1)
    return found


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
        light = gaussian_filter(light, (0, sigma_px, sigma_px), truncate=TRUNCATE)
    density = optical_density(light, white[:, None, None])
    return np.maximum(density, 0, out=density)


def sample_of(rgb: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that are enough to judge it by: about 1000 on the longer side."""
    step = 1 + max(rgb.shape[:2]) // 1000
    return slice(None, None, step), slice(None, None, step)


def _over_colours(function: np.ufunc, image: NDArray[Any]) -> NDArray[Any]:
    """Reduce an image (h, w, 3) over its colours, in a tenth of the time of a reduction along its last axis."""
    found: NDArray[Any] = function(function(image[..., 0], image[..., 1]), image[..., 2])
    return found


def _beside(function: np.ufunc, image: NDArray[Any]) -> NDArray[Any]:
    """Return the least or largest value of the 3 x 3 pixels around each; those outside of the image do not count."""
    for axis in (0, 1):
        lines = np.moveaxis(image, axis, 0)
        found = lines.copy()
        function(found[1:], lines[:-1], out=found[1:])
        function(found[:-1], lines[1:], out=found[:-1])
        image = np.moveaxis(found, 0, axis)
    return image
