"""Sine positions of a feature map, as in DETR (Carion et al., ECCV 2020), normalised to the map's size."""

import math
from functools import lru_cache

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0
_EPS = 1e-6


@lru_cache(maxsize=16)
def sine_positions(height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Encode the positions of a map's pixels, row by row.

    Parameters
    ----------
    height, width : int
    channels : int
        Half of them encode y, half x.
    device, dtype
        Of the result; computed in float32.

    Returns
    -------
    float tensor (height * width, channels)

    >>> sine_positions(2, 3, 8, torch.device("cpu"), torch.float32).shape
    torch.Size([6, 8])
    """
    half = channels // 2
    y, x = (
        torch.arange(1, size + 1, dtype=torch.float32, device=device) / (size + _EPS) * (2 * math.pi)
        for size in (height, width)
    )
    pairs = torch.div(torch.arange(half, device=device), 2, rounding_mode="floor")
    wavelength = torch.tensor(_TEMPERATURE, device=device) ** (2 * pairs / half)

    def waves(position: Tensor) -> Tensor:
        phase = position[:, None] / wavelength
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=2).flatten(1)

    down = waves(y)[:, None].expand(height, width, half)
    across = waves(x)[None].expand(height, width, half)
    return torch.cat([down, across], dim=2).flatten(0, 1).to(dtype)
