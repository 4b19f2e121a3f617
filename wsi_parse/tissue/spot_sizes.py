"""Spot sizes: which share of a picture is covered by dark, elliptical spots of each diameter, in pixels.

Spots are connected parts above a threshold, at several thresholds between the typical and the highest density. What is
no ellipse is no nucleus and does not count: fibres, edges, groups that touch. Texture inside nuclei is elliptical, too,
but covers little. If the picture is enlarged, its shares move along and stay as they are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsi_parse.slides.opencv import opencv

PER_OCTAVE = 4
#: Diameters of circles of the same area, in pixels.
DIAMETERS_PX: NDArray[np.float64] = 2.0 * 2 ** (np.arange(28) / PER_OCTAVE)
#: The picture is enlarged twofold, as it is, and reduced by up to four octaves: spots are looked at where they are of
#: medium size.
LEVELS = 6
#: Shares of all spots, of these weighted by their contrast, and of nearly perfect ellipses.
KINDS = 3

_THRESHOLDS = np.linspace(0.15, 0.85, 7)
_AREA_PX = (14, 700)
_SMOOTHING_PX = 1.0
# Area over that of the ellipse with the same second moments; and its shorter over its longer axis.
_MIN_ELLIPTICAL, _NEARLY_PERFECT, _MIN_AXIS_RATIO = 0.88, 0.95, 0.4
_MIN_SIDE_PX, _MIN_SIDE_TO_CUT_PX = 40, 256

_Image = NDArray[np.float32]


def spot_sizes(density: _Image, low: float, high: float) -> NDArray[np.float64]:
    """Measure the spots of a picture.

    Parameters
    ----------
    density : float32 array (h, w)
        Large where it is dark.
    low, high : float
        Typical and highest density of the tissue; what is paler or darker is taken for that.

    Returns
    -------
    float array (6, 3, 28)
        Shares of the area, for :data:`LEVELS`, :data:`KINDS` and :data:`DIAMETERS_PX`.
    """
    shares = np.zeros((LEVELS, KINDS, len(DIAMETERS_PX)))
    if not high > low:
        return shares
    # In units of the range, in which the thresholds are.
    image = ((np.clip(density, low, high) - low) / (high - low)).astype(np.float32)
    shares[0] = _of_level(ndimage.zoom(_middle(image), 2, order=1), 0.5)
    pixel_px = 1.0
    for level in range(1, LEVELS):
        if min(image.shape) < _MIN_SIDE_PX:
            break
        shares[level] = _of_level(image, pixel_px)
        image, pixel_px = halved(image), 2 * pixel_px
    return shares


def halved(image: _Image) -> _Image:
    """Return the means of squares of 2 x 2 pixels; an odd last row or column is dropped."""
    rows, columns = (length // 2 * 2 for length in image.shape)
    image = image[:rows, :columns]
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) * np.float32(0.25)


def _middle(image: _Image) -> _Image:
    """Return the middle quarter of a large picture, because the enlarged one would take four times as long."""
    rows, columns = image.shape
    if min(rows, columns) < _MIN_SIDE_TO_CUT_PX:
        return image
    return image[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]


def _of_level(image: _Image, pixel_px: float) -> NDArray[np.float64]:
    """Return the shares (3, 28) of a picture whose pixels are `pixel_px` pixels wide."""
    image = ndimage.gaussian_filter(image, _SMOOTHING_PX)
    shares = np.zeros((KINDS, len(DIAMETERS_PX)))
    for threshold in _THRESHOLDS.tolist():
        area, contrast, elliptical = _spots(image, threshold)
        diameter_px = 2 * np.sqrt(area / np.pi) * pixel_px
        index = np.rint(np.log2(diameter_px / DIAMETERS_PX[0]) * PER_OCTAVE).astype(int)
        index = index.clip(0, len(DIAMETERS_PX) - 1)
        for kind, weight in enumerate((area, area * contrast, area * (elliptical > _NEARLY_PERFECT))):
            np.add.at(shares[kind], index, weight)
    return shares / (image.size * len(_THRESHOLDS))


def _spots(image: _Image, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return area, mean height above the threshold, and likeness to an ellipse of each elliptical part inside."""
    above = image > threshold
    labels, count = _labelled(above)
    pixels = np.flatnonzero(above)
    number = labels.ravel()[pixels]
    area = np.bincount(number, minlength=count + 1)
    wanted = (area >= _AREA_PX[0]) & (area <= _AREA_PX[1])
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1], np.zeros(1, int)):
        wanted[edge] = False
    inside = wanted[number]
    pixels, number = pixels[inside], number[inside]
    y, x = np.divmod(pixels, image.shape[1])

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(number, values, minlength=count + 1)[wanted]
        means: NDArray[np.float64] = sums / area[wanted]
        return means

    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    # Each pixel adds its own second moment of 1/12.
    xx, yy, xy = mean(x * x) - mean_x**2 + 1 / 12, mean(y * y) - mean_y**2 + 1 / 12, mean(x * y) - mean_x * mean_y
    elliptical = area[wanted] / (4 * np.pi * np.sqrt(np.maximum(xx * yy - xy**2, 1e-6)))
    middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    ratio = np.sqrt(np.maximum(middle - spread, 1e-6) / (middle + spread))
    kept = (elliptical > _MIN_ELLIPTICAL) & (ratio > _MIN_AXIS_RATIO)
    contrast = mean(image.ravel()[pixels]) - threshold
    return area[wanted][kept].astype(np.float64), contrast[kept], elliptical[kept]


def _labelled(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the parts of a mask that are connected by sides, by their first pixels; return their number, too."""
    cv2 = opencv()
    if cv2 is None:
        labels, count = ndimage.label(mask)
        return labels, count
    # In a third of scipy's time; the background counts there.
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    return labels, count - 1
