"""The light of a slide: the colour of its empty glass, and the optical density against it."""

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
    return _glass(rgb)[0]


def mean_density(rgb: NDArray[np.uint8], mpp: float, width_um: float) -> NDArray[np.float32]:
    """Return the optical density, averaged over the colours and over squares of a width.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
        If there is no glass in it, the usual glass is assumed, unless the picture is brighter.
    mpp : float
        Microns per pixel.
    width_um : float

    Returns
    -------
    float32 array (h, w)
    """
    white, has_glass = _glass(rgb)
    if white is None:
        return np.zeros(rgb.shape[:2], np.float32)
    # Where there is little glass, shadows and pale fibres are taken for it, too.
    pixels = rgb[sample_of(rgb)]
    brightest = np.percentile(pixels[pixels.min(axis=2) < CANVAS], 99.5, axis=0) if has_glass else USUAL_GLASS
    white = np.maximum(white, np.minimum(brightest, USUAL_GLASS)).astype(np.float32)
    width_px = max(1, round(width_um / mpp))

    def averaged(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        density = smoothed_density(part, white, 0.0).mean(axis=0)
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


def _glass(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32] | None, bool]:
    """Return the colour of the glass, and whether there is any in the picture."""
    pixels = rgb[sample_of(rgb)]
    scanned = pixels.min(axis=2) < CANVAS
    if not scanned.any():
        return None, False
    tint = np.ptp(smoothed_density(pixels, np.full(3, 255, np.float32), 0.0), axis=0)
    steps = np.abs(np.diff(pixels.astype(np.int16), axis=1, prepend=pixels[:, :1])).max(axis=2)
    # Glass is grey, or has a tint that does not vary as tissue does.
    glass = scanned & (pixels.min(axis=2) > DARKEST_GLASS) & ((tint < 0.02) | (tint < 0.06) & (steps <= 3))
    if glass.sum() < _GLASS_SHARE * scanned.sum():
        brightest = float(np.percentile(pixels.max(axis=2), 99.5))
        return np.full(3, np.clip(brightest, DARKEST_GLASS, USUAL_GLASS), np.float32), False
    # Shadows, dust and pale tissue are darker than most glass.
    light = pixels[glass].sum(axis=1, dtype=np.int32)
    return np.asarray(np.median(pixels[glass][light >= np.median(light)], axis=0), np.float32), True
