"""StainNormalization: light and staining of a slide, estimated once and removed before the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.slides.optical_density import optical_density

# The darkest white, and bounds of a plausible staining, in natural optical density.
_DARKEST_WHITE = 0.7
_STRENGTHS = (0.12, 1.2)
_STAINED = 0.15
_MIN_PIXELS = 500
_DENSITY = optical_density(np.arange(256, dtype=np.float32), 255.0, np.log)


@dataclass(frozen=True)
class StainNormalization:
    """Light and staining of a slide.

    Parameters
    ----------
    white : three floats
        Natural optical density of white, in each colour.
    strength : float
        Mean density of stained pixels above white, over the colours.
    """

    white: tuple[float, float, float] = (0.05, 0.05, 0.05)
    strength: float = 0.45

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]]) -> "StainNormalization":
        """Estimate from samples, uint8 (H, W, 3) each; the default if nothing is stained."""
        if not images:
            return cls()
        density = np.concatenate([density_of(image[::4, ::4]).reshape(-1, 3) for image in images])
        white = np.percentile(density, 1, axis=0).clip(0, _DARKEST_WHITE)
        over = (density - white).mean(axis=1)
        stained = over[over > _STAINED]
        strength = float(stained.mean()) if len(stained) >= _MIN_PIXELS else cls.strength
        red, green, blue = (round(float(value), 4) for value in white)
        return cls((red, green, blue), round(min(max(strength, _STRENGTHS[0]), _STRENGTHS[1]), 4))


def density_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the natural optical density relative to full light."""
    return _DENSITY[image]
