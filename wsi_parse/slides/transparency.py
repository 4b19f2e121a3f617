"""Transparent pixels laid on white: readers give transparent pixels outside of the scanned area."""

import numpy as np
from numpy.typing import NDArray

# Whole pictures are converted too, so this many rows at a time bound the memory.
_ROWS = 1024


def on_white(rgba: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """Lay RGBA pixels (rows, columns, 4) on white.

    Parameters
    ----------
    rgba : uint8 array
    premultiplied : bool
        Whether the colours are already multiplied by alpha.

    Returns
    -------
    uint8 array (rows, columns, 3)
        RGB.
    """
    rgb = np.ascontiguousarray(rgba[..., :3])
    if (rgba[..., 3] == 255).all():
        return rgb
    for top in range(0, len(rgb), _ROWS):
        rows = slice(top, top + _ROWS)
        alpha = rgba[rows, :, 3:].astype(np.uint16)
        colour = rgb[rows] if premultiplied else (rgb[rows] * alpha + 127) // 255
        rgb[rows] = np.minimum(colour + (255 - alpha), 255)
    return rgb
