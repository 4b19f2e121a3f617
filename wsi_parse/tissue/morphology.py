"""Morphology of masks: joined, without small parts; dilated and opened, in strips of rows.

scikit-image has all of it, and importing its morphology takes a quarter of the time that a small slide does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from wsi_parse.geometry import Box
from wsi_parse.slides.opencv import opencv

Mask = NDArray[np.bool_]

_STRIP_ROWS = 512


def joined(sure: Mask, possible: Mask, min_sure_px: int = 1) -> Mask:
    """Return the connected parts of `possible | sure` that contain at least `min_sure_px` sure pixels."""
    labels, count = label(possible | sure)
    kept = np.bincount(labels[sure], minlength=count + 1) >= min_sure_px
    kept[0] = False
    return kept[labels]


def dilated(mask: Mask, radius_px: float) -> Mask:
    """Dilate a mask by a disk; an empty mask is returned as it is, because its distance transform is undefined."""
    if not mask.any():
        return mask
    return np.asarray(_distance_to(mask) <= radius_px)


def _distance_to(mask: Mask) -> NDArray[np.float64]:
    """Return how far each pixel lies from the nearest True one, in pixels, exactly up to 2,000 px; one is True."""
    cv2 = opencv()
    if cv2 is None:
        return np.asarray(distance_transform_edt(~mask))
    found = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    # A third of scipy's time; roots of whole numbers in single precision, which become those in double precision.
    return np.asarray(np.sqrt(np.rint(found * found)))


def disk(radius_px: int) -> NDArray[np.uint8]:
    """Return a footprint: 1 where a pixel is at most the radius from the middle."""
    line = np.arange(-radius_px, radius_px + 1)
    return np.asarray(line[:, None] ** 2 + line**2 <= radius_px**2, np.uint8)


def without_small_parts(mask: Mask, max_px: int) -> Mask:
    """Return a mask without its connected parts of at most `max_px` pixels."""
    labels, count = label(mask)
    kept = np.bincount(labels.ravel(), minlength=count + 1) > max_px
    kept[0] = False
    return kept[labels]


def locally(function: Callable[[Any], Any], image: NDArray[Any], reach_px: float) -> Any:  # noqa: ANN401
    """Apply a local function in strips, so that its intermediate arrays stay small.

    Parameters
    ----------
    function : callable
        From an array (h, w, ...) to one of (h, w).
    image : array (h, w, ...)
    reach_px : float
        Distance up to which a pixel of the result depends on other pixels.

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


def opened(mask: Mask, width_px: float) -> Mask:
    """Open a mask by a disk of a diameter: what is narrower disappears."""

    def open_part(part: Mask) -> Mask:
        return dilated(~dilated(~part, width_px / 2), width_px / 2)

    return locally(open_part, mask, width_px)
