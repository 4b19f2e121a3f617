"""The check that a TIFF holds one plane of 8-bit RGB, as H&E slides do; all else is refused with a reason."""

from typing import Any

import numpy as np
import tifffile

from wsi_parse.errors import UnsupportedSlideError

_COLOUR = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_CONVERT = "If it is a bright-field slide, convert it to 8-bit RGB."


def check_series(name: str, series: Any) -> None:  # noqa: ANN401 - a series of tifffile
    """Refuse stacks, separate channels, and everything that :func:`check_page` refuses.

    Raises
    ------
    UnsupportedSlideError
    """
    sizes = dict(zip(series.axes, series.shape, strict=True))
    for axis, meaning in (("Z", "focus planes"), ("T", "time points")):
        if sizes.get(axis, 1) > 1:
            raise UnsupportedSlideError(
                f"{name} has {sizes[axis]} {meaning}.", "Export one plane as 8-bit RGB, for example with QuPath."
            )
    if sizes.get("C", 1) > 1:
        raise UnsupportedSlideError(
            f"{name} has {sizes['C']} separate channels, so it may be fluorescence.",
            "If it is H&E, export its channels as RGB (raw2ometiff --rgb, QuPath).",
        )
    pictures = [number for axis, number in sizes.items() if axis not in "YXSCZT" and number > 1]
    if pictures:
        raise same_size(name, pictures[0])
    check_page(name, series.keyframe)


def same_size(name: str, count: int) -> UnsupportedSlideError:
    """Build the error for a file with several images of one size: which of them is the slide cannot be told."""
    return UnsupportedSlideError(
        f"{name} holds {count} images of the same size: focus planes, time points or channels.",
        "Export the one that you mean as 8-bit RGB, for example with QuPath.",
    )


def check_page(name: str, page: Any) -> None:  # noqa: ANN401 - a page of tifffile
    """Refuse a page whose pixels are not 8-bit RGB.

    Raises
    ------
    UnsupportedSlideError
    """
    if page.dtype != np.uint8:
        raise UnsupportedSlideError(
            f"{name} holds {page.dtype} pixels, not 8-bit RGB.",
            "Convert it to 8-bit RGB, for example with QuPath or libvips.",
        )
    if page.samplesperpixel < 3:
        raise UnsupportedSlideError(
            f"{name} has a single channel, so it is grey, indexed or fluorescence, not RGB.", _CONVERT
        )
    if page.photometric not in _COLOUR or page.samplesperpixel > 4:
        kind = getattr(page.photometric, "name", page.photometric)
        raise UnsupportedSlideError(
            f"{name} holds {page.samplesperpixel} samples per pixel of type {kind}, not RGB.", _CONVERT
        )


def is_colour(page: Any) -> bool:  # noqa: ANN401 - a page of tifffile
    """Return whether the pixels of a page are 8-bit RGB."""
    try:
        check_page("", page)
    except UnsupportedSlideError:
        return False
    return True
