"""Optical density: how much light a pixel absorbs compared with white, by the Beer-Lambert law."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def optical_density(
    light: NDArray[Any], white: NDArray[Any] | float, log: Callable[[NDArray[Any]], NDArray[Any]] = np.log10
) -> NDArray[Any]:
    """Return log((white + 1) / (light + 1)); it is negative where a pixel is brighter than white.

    Parameters
    ----------
    light, white : float arrays
        On the scale 0..255, with shapes that broadcast. One is added to both, so that black has a finite density.
    log : callable
        `numpy.log10` (the density of pathology and of QuPath), or `numpy.log`.

    Returns
    -------
    float array

    >>> optical_density(np.array([255.0, 24.6]), 255.0).round(3).tolist()
    [0.0, 1.0]
    """
    return log((white + 1) / (light + 1))
