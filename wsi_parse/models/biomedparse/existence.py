"""Existence: the published statistic on whether a target is present, as a measurement; it never removes objects.

The network always returns a mask. `target_dist.json`, published with the weights, holds for each target the Beta
distributions, over the training images, of four means over the pixels of the mask: probability, red, green and blue,
each 0..255 and scaled by 1/256. The authors regard an image whose means are unlikely (p below 0.05) as one without the
target. The statistic depends on colour, so another stain or scanner makes p small too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import WeightsError

FILE_NAME = "target_dist.json"
ABSENT_BELOW = 0.05
_MODALITY = "pathology"
_MEANS = 4
_INSIDE = 128


@dataclass(frozen=True)
class TargetDistributions:
    """Beta parameters by target.

    Parameters
    ----------
    parameters : mapping of target to float array (4, 2)
        (a, b) of probability, red, green, blue.
    """

    parameters: Mapping[str, NDArray[np.float64]]

    @classmethod
    def load(cls, path: Path) -> "TargetDistributions":
        """Read the targets of all pathology sites from `target_dist.json`.

        Raises
        ------
        WeightsError
            If the file has another content.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = {
                target: np.array(values, np.float64)
                for modality, targets in content.items()
                if _MODALITY in modality.lower()
                for target, values in targets.items()
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise WeightsError(f"{path.name} cannot be read.", "Download it again, or remove it.") from error
        odd = [name for name, values in found.items() if values.shape != (_MEANS, 2) or not (values > 0).all()]
        if odd:
            raise WeightsError(
                f"{path.name} does not have four Beta distributions for {odd[0]!r}.", "Download it again, or remove it."
            )
        return cls(found)

    def of(self, target: str) -> NDArray[np.float64] | None:
        """Return the parameters of a target, (4, 2); None if none are published."""
        return self.parameters.get(target)


def mask_means(images: NDArray[np.uint8], probability: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute means over the pixels of each mask.

    Parameters
    ----------
    images : uint8 array (B, H, W, 3)
        RGB.
    probability : uint8 array (B, H / s, W / s)
        0..255; the mask is at least 128.

    Returns
    -------
    float array (B, 5)
        Number of pixels of the mask; then the means of probability, red, green and blue, 0..255; 0 without a mask.
    """
    batch, height, width = probability.shape
    stride = images.shape[1] // height
    colour = images.reshape(batch, height, stride, width, stride, 3).mean(axis=(2, 4), dtype=np.float32)
    values = np.concatenate([probability[..., None], colour], axis=3, dtype=np.float32).reshape(batch, -1, _MEANS)
    mask = (probability >= _INSIDE).reshape(batch, 1, -1)
    sums = (mask.astype(np.float32) @ values)[:, 0].astype(np.float64)
    count = mask.sum(axis=2).astype(np.float64)
    return np.concatenate([count, (sums / np.maximum(count, 1)).round(3)], axis=1)


def likelihood(means: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how well masks fit the training data: the geometric mean of four two-sided p values.

    Parameters
    ----------
    means : float array (N, 4)
        Probability, red, green, blue: 0..255.
    parameters : float array (4, 2)

    Returns
    -------
    float array (N,)
        0..1.
    """
    # Only where masks are judged. The distribution of scipy.stats is the same function, and takes long to import.
    from scipy.special import betainc

    below = betainc(parameters[:, 0], parameters[:, 1], means / 256)
    return np.asarray((2 * np.minimum(below, 1 - below)).prod(axis=1) ** (1 / _MEANS))


def summarise(noted: NDArray[np.float64], parameters: NDArray[np.float64]) -> dict[str, Any]:
    """Summarise how well the masks of a slide's tiles fit.

    Parameters
    ----------
    noted : float array (tiles, 5)
        Results of :func:`mask_means`.
    parameters : float array (4, 2)

    Returns
    -------
    dict
        Tiles with a mask, the median of their p, the share that the authors would call "absent", and a sentence about
        it, which is empty if no tile has a mask.
    """
    found = noted[noted[:, 0] > 0]
    p = likelihood(found[:, 1:], parameters)
    absent = float((p < ABSENT_BELOW).mean()) if len(p) else None
    sentence = (
        ""
        if absent is None
        else f"In {absent:.0%} of {len(found):,} tiles, the masks differ from those of the training data "
        f"(p < {ABSENT_BELOW:g}). No object was removed because of this."
    )
    return {
        "tiles": len(noted),
        "tiles_with_mask": len(found),
        "p_median": round(float(np.median(p)), 4) if len(p) else None,
        "share_below_0.05": None if absent is None else round(absent, 4),
        "sentence": sentence,
    }
