"""The fingerprint of a slide, and the check that it is bright-field and not fluorescence."""

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import UnsupportedSlideError

# Median of the brightest channel. Among the 90 H&E pictures of our test data the darkest has 97; a DAPI slide has 22.
_DARK = 60
# Glass, which is bright in all channels, occurs in bright-field only: beside it, dark areas are filling or pen.
_GLASS, _GLASS_SHARE = 180, 0.01
# If less than this share of the picture was scanned, it is too little to judge.
_MIN_SHARE = 0.1


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
    # Pure white was not scanned or is empty glass: neither shows how bright the rest is.
    scanned = overview[(overview < 255).any(axis=2)]
    if len(scanned) < _MIN_SHARE * overview.shape[0] * overview.shape[1]:
        return
    if np.median(scanned.max(axis=1)) < _DARK and (scanned.min(axis=1) > _GLASS).mean() < _GLASS_SHARE:
        raise UnsupportedSlideError(
            f"{name} has a dark background and looks like fluorescence.", "Use a bright-field (H&E) slide."
        )
