"""StainNormalization: light and staining of a slide, estimated once and removed before the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi_parse.slides.optical_density import optical_density
from wsi_parse.tissue.samples import Sample

# The darkest white, and bounds of a plausible staining, in natural optical density.
_DARKEST_WHITE = 0.7
_STRENGTHS = (0.12, 1.2)
_STAINED = 0.15
MIN_PIXELS = 500
_ENOUGH_PIXELS = 1 << 16
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
    pixels : int
        Number of stained pixels that the strength was estimated from.
    """

    white: tuple[float, float, float] = (0.05, 0.05, 0.05)
    strength: float = 0.45
    pixels: int = 0

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "StainNormalization":
        """Estimate from samples of tissue; the default if there are none."""
        if not samples:
            return cls()
        # A small part is enough, if there is one.
        step = 4 if sum(sample.usable.size for sample in samples) > _ENOUGH_PIXELS else 1
        density = density_of(np.concatenate([s.image[::step, ::step][s.usable[::step, ::step]] for s in samples]))
        white = np.percentile(density, 1, axis=0).clip(0, _DARKEST_WHITE)
        over = (density - white).mean(axis=1)
        stained = over[over > _STAINED]
        strength = float(stained.mean()) if len(stained) >= MIN_PIXELS else cls.strength
        red, green, blue = (round(float(value), 4) for value in white)
        strength = round(min(max(strength, _STRENGTHS[0]), _STRENGTHS[1]), 4)
        return cls((red, green, blue), strength, len(stained) * step**2)


def density_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the natural optical density relative to full light."""
    return _DENSITY[image]
