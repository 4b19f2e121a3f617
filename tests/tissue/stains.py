"""Pictures of other stains, made of pictures of H&E."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from wsi_parse.models.stain import RUIFROK

# Optical density of red, green, blue of counterstains, from purple to blue, and of DAB (Ruifrok and Johnston 2001).
BLUES = {"harris": (0.65, 0.70, 0.29), "mayer": (0.75, 0.60, 0.28), "blue": (0.80, 0.52, 0.22)}
DAB = (0.27, 0.57, 0.78)


def immunostained(rgb: NDArray[np.uint8], counterstain: str, positive: float) -> NDArray[np.uint8]:
    """Turn H&E into immunohistochemistry: pale blue tissue, and a share of the nuclei brown."""
    basis = np.stack([_unit(stain) for stain in (*RUIFROK, np.cross(*RUIFROK))])
    density = np.maximum(np.log10(246 / (rgb.astype(np.float32) + 1)), 0)
    amount = density @ np.linalg.inv(basis).astype(np.float32)
    nuclear, eosin = np.maximum(amount[..., 0], 0), np.maximum(amount[..., 1], 0)
    nuclei, count = label(gaussian_filter(nuclear, 1.5) > 0.35)
    brown = np.random.default_rng(0).random(count + 1) < positive
    brown[0] = False
    is_brown = brown[nuclei]
    blue = np.where(is_brown, 0.15 * nuclear, nuclear) + 0.09 * eosin
    dab = np.where(is_brown, 1.1 * nuclear, 0.02 * eosin)
    made = blue[..., None] * _unit(BLUES[counterstain]) + dab[..., None] * _unit(DAB)
    return np.clip(245 * 10.0**-made, 0, 255).astype(np.uint8)


def _unit(stain: object) -> NDArray[np.float64]:
    vector = np.array(stain, float)
    return vector / np.linalg.norm(vector)
