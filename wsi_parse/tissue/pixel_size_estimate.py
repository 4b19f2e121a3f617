"""Estimate the pixel size of a slide from its nuclei, with its doubt; only pixels are used, whatever their size.

A small convolution runs over the spot sizes of the red channel, which nuclei absorb: it knows the form that nuclei give
them, and finds its place. A slide of twice the pixel size has the same form, one octave lower, and gets twice the
number. The weights were fitted once on labelled tiles of known pixel size: see `workflows/pixel_size`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.tissue.dense_fields import DenseField
from wsi_parse.tissue.spot_sizes import DIAMETERS_PX, KINDS, PER_OCTAVE, spot_sizes

WEIGHTS = Path(__file__).with_name("pixel_size_estimate.json")
#: The convolution answers where spots of this diameter would be: a common one of nuclei.
REFERENCE_UM = 8.0
#: Steps of the sizes that the convolution sees on each side of a place, and that are added (empty) at both ends.
REACH, PADDING = 8, 10
CHANNELS = 2 * KINDS + 1
# Of fewer nuclei nothing can be told.
_MIN_NUCLEI = 12
# If the convolution is less sure than this (in octaves), the answer is of no use.
_MAX_DOUBT = 0.6
# Half of the range in octaves: see the figures in workflows/pixel_size.
_MIN_RANGE, _RANGE_PER_DOUBT = 0.6, 1.7
# Lens, camera and compression blur a picture by about this width: nuclei of few pixels look larger than they are.
_BLUR_PX = 1.5


@dataclass(frozen=True)
class PixelSizeEstimate:
    """A pixel size that was estimated from nuclei.

    Parameters
    ----------
    mpp : float
        Microns per level-0 pixel.
    low, high : float
        The right number lies between them on nearly every slide.
    fields : int
        Number of fields that were looked at.
    """

    mpp: float
    low: float
    high: float
    fields: int

    def __str__(self) -> str:
        return f"{self.mpp:.2g} µm per pixel ({self.low:.2g} to {self.high:.2g} µm)"

    def agrees_with(self, mpp: float) -> bool:
        """Return whether a pixel size lies in the range of the estimate."""
        return self.low <= mpp <= self.high


def estimate_pixel_size(fields: Sequence[DenseField]) -> PixelSizeEstimate | None:
    """Estimate the pixel size of a slide.

    Parameters
    ----------
    fields : sequence of DenseField

    Returns
    -------
    PixelSizeEstimate or None
        None if it cannot be told: there are no fields, there are few nuclei, or their size is not clear.
    """
    if not fields:
        return None
    shares = np.mean([spot_sizes(field.density, field.low, field.high) for field in fields], axis=0)
    sizes_log2, odds = size_odds(channels(shares))
    middle = float(odds @ sizes_log2)
    doubt = math.sqrt(float(odds @ (sizes_log2 - middle) ** 2))
    area_px = sum(field.density.size for field in fields)
    if doubt > _MAX_DOUBT or _nuclei(shares, area_px, REFERENCE_UM / 2**middle) < _MIN_NUCLEI:
        return None
    mpp = 2**middle * _enlarged_by_blur(REFERENCE_UM / 2**middle)
    factor = 2 ** max(_MIN_RANGE, _RANGE_PER_DOUBT * doubt)
    return PixelSizeEstimate(mpp, mpp / factor, mpp * factor, len(fields))


def _enlarged_by_blur(diameter_px: float) -> float:
    """Return how many times as wide a spot looks as it is."""
    return 1 / math.sqrt(max(1 - (_BLUR_PX / diameter_px) ** 2, 0.25))


def channels(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prepare shares of :func:`spot_sizes`, or means of several, for the convolution: float array (7, 28)."""
    highest, total = shares.max(axis=0), shares.sum(axis=0)
    smooth = np.convolve(highest[0], [0.25, 0.5, 0.25], "same")
    form = smooth / max(float(smooth.max()), 1e-6)
    return np.concatenate([6 * np.sqrt(highest), 6 * np.sqrt(total), form[None]])


def size_odds(inputs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixel sizes, as the logarithm to base 2 of microns, and the probability of each; float arrays (N,)."""
    weights = _weights()
    padded = np.pad(inputs, ((0, 0), (PADDING, PADDING)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1, axis=1)
    hidden = np.tanh(np.einsum("hcw,cnw->hn", weights["first"], windows) + weights["first_bias"][:, None])
    hidden = np.tanh(weights["second"] @ hidden + weights["second_bias"][:, None])
    score = weights["last"] @ hidden
    odds = np.exp(score - score.max())
    steps = np.arange(len(score)) - PADDING + REACH
    sizes_log2 = math.log2(REFERENCE_UM / DIAMETERS_PX[0]) - steps / PER_OCTAVE
    return sizes_log2, odds / odds.sum()


@cache
def _weights() -> dict[str, NDArray[Any]]:
    return {name: np.array(values) for name, values in json.loads(WEIGHTS.read_text()).items()}


def _nuclei(shares: NDArray[np.float64], area_px: int, diameter_px: float) -> float:
    """Count the spots of about a diameter."""
    near = np.abs(np.log2(DIAMETERS_PX / diameter_px)) < 1
    return float((shares[:, 0].max(axis=0) / (np.pi / 4 * DIAMETERS_PX**2))[near].sum() * area_px)
