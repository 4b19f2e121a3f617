"""What a TIFF must hold to be processed as H&E: one plane of 8-bit RGB; all else is refused with a reason."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tifffile

from wsi_parse.errors import SlideError, SlideOpenError, UnsupportedSlideError

_COLOUR = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_ONLY_RGB = "Only bright-field RGB is processed"

# What tifffile finds odd is told in our errors; without a handler it would go to the screen as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def parsing() -> Iterator[None]:
    """Turn whatever a damaged TIFF brings a parser to raise into an error of ours.

    Raises
    ------
    SlideOpenError
    """
    try:
        yield
    except SlideError:
        raise
    except Exception as error:
        raise SlideOpenError(f"not a TIFF that can be read ({error})") from error


def check_series(name: str, series: Any) -> None:  # noqa: ANN401 - a series of tifffile
    """Refuse stacks, separate channels, and what :func:`check_page` refuses.

    Raises
    ------
    UnsupportedSlideError
    """
    sizes = dict(zip(series.axes, series.shape, strict=True))
    for axis, meaning in (("Z", "focus planes"), ("T", "time points")):
        if sizes.get(axis, 1) > 1:
            raise UnsupportedSlideError(
                f"{name} has {sizes[axis]} {meaning}.", "Export one plane as 8-bit RGB, e.g. with QuPath."
            )
    if sizes.get("C", 1) > 1:
        raise UnsupportedSlideError(
            f"{name} has {sizes['C']} separate channels: fluorescence, or not H&E.",
            f"{_ONLY_RGB}; if it is H&E, export its channels as RGB (raw2ometiff --rgb, QuPath).",
        )
    check_page(name, series.keyframe)


def check_page(name: str, page: Any) -> None:  # noqa: ANN401 - a page of tifffile
    """Refuse a page whose pixels are not 8-bit RGB.

    Raises
    ------
    UnsupportedSlideError
    """
    if page.dtype != np.uint8:
        raise UnsupportedSlideError(
            f"{name} holds {page.dtype} pixels, not 8-bit RGB.", "Convert it to 8-bit RGB, e.g. with QuPath or libvips."
        )
    if page.samplesperpixel < 3:
        raise UnsupportedSlideError(
            f"{name} has a single channel: it is grey, indexed or fluorescence.", f"{_ONLY_RGB}: convert it if it is."
        )
    if page.photometric not in _COLOUR or page.samplesperpixel > 4:
        kind = getattr(page.photometric, "name", page.photometric)
        raise UnsupportedSlideError(
            f"{name} holds {page.samplesperpixel} samples of {kind}, not RGB.", f"{_ONLY_RGB}: convert it to sRGB."
        )
