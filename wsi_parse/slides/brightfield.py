"""The check that a slide is bright-field and not fluorescence."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import UnsupportedSlideError

# Median of the brightest channel. Among the 90 H&E pictures of our test data the darkest has 97; a DAPI slide has 22.
_DARK = 60
# Glass, which is bright in all channels, occurs in bright-field only: beside it, dark areas are filling or pen.
_GLASS, _GLASS_SHARE = 180, 0.01
# If less than this share of the picture was scanned, it is too little to judge.
_MIN_SHARE = 0.1
_WHITE = 255


def check_brightfield(name: str, overview: NDArray[np.uint8]) -> None:
    """Refuse a slide with a dark background, because it is fluorescence and not H&E.

    Parameters
    ----------
    name : str
    overview : uint8 array (rows, columns, 3)
        A small RGB picture of the whole slide.

    Raises
    ------
    UnsupportedSlideError
    """
    brightest, darkest = overview[..., 0], overview[..., 0]
    # One channel after the other: numpy takes ten times as long along an axis of three.
    for channel in (overview[..., 1], overview[..., 2]):
        brightest, darkest = np.maximum(brightest, channel), np.minimum(darkest, channel)
    # Pure white was not scanned or is empty glass: neither shows how bright the rest is.
    scanned = darkest < _WHITE
    count = np.count_nonzero(scanned)
    if count < _MIN_SHARE * scanned.size:
        return
    glass = np.count_nonzero(scanned & (darkest > _GLASS))
    if np.median(brightest[scanned]) < _DARK and glass < _GLASS_SHARE * count:
        raise UnsupportedSlideError(
            f"{name} has a dark background and looks like fluorescence.", "Use a bright-field (H&E) slide."
        )
