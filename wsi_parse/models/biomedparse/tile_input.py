"""Tiles as input of the network: copied to the device as they were read, and enlarged there in the way of PIL."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def to_device(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy tiles to a device.

    Parameters
    ----------
    images : uint8 array (B, H, W, 3)
    device : torch.device

    Returns
    -------
    uint8 tensor (B, 3, H, W)
    """
    tensor = torch.from_numpy(np.require(images, requirements=["C", "W"]))
    if device.type == "cuda":
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    return tensor.movedim(3, 1)


def resized(images: Tensor, side: int) -> Tensor:
    """Resize as PIL's ``resize((side, side), BICUBIC)``: rounded to grey levels after each axis.

    Parameters
    ----------
    images : uint8 tensor (B, 3, H, W)
    side : int

    Returns
    -------
    float32 tensor (B, 3, side, side)
        Whole numbers, 0..255; within one grey level of PIL's.
    """
    pixels = images.float()
    for size in ((pixels.shape[2], side), (side, side)):
        if pixels.shape[2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
            # PIL rounds half up.
            pixels = pixels.add_(0.5).floor_().clamp_(0, 255)
    return pixels
