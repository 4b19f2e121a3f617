"""Postprocess: from pixels to the input of the network, and from its outputs to channels."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsi_parse.errors import ModelError
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import READ_RANGE, MiniNetwork

if TYPE_CHECKING:
    # To import it takes the packages that read slides, which a network alone does not need.
    from wsi_parse.models.mini.stain_normalization import StainNormalization


def channels_of(network: MiniNetwork, images: Tensor, stain_normalization: "StainNormalization") -> dict[str, Tensor]:
    """Predict the channels of a batch of tiles.

    Parameters
    ----------
    network : MiniNetwork
    images : uint8 tensor (B, H, W, 3)
        RGB at 0.5 µm/px.
    stain_normalization : StainNormalization
        Of the slide.

    Returns
    -------
    dict of channel name to uint8 tensor
        "nucleus" and "distance" (B, H, W); the names of CLASSES (B, H / 2, W / 2).
    """
    outputs = network(relative_density(images, stain_normalization))
    # Converted to integers they would look like "nothing found".
    if not all(bool(torch.isfinite(part).all()) for part in outputs):
        raise ModelError(
            "The embedded model (mini) returned NaN or infinity.",
            "Try --set model.precision=float32.",
        )
    nucleus = torch.sigmoid(outputs.nucleus.float())
    classes = torch.softmax(outputs.classes.float(), dim=1)
    channels = {"nucleus": nucleus, "distance": torch.sigmoid(outputs.distance.float())}
    channels |= {name: classes[:, index] for index, name in enumerate(CLASSES)}
    return {name: (values * 255).round_().to(torch.uint8) for name, values in channels.items()}


def relative_density(images: Tensor, stain_normalization: "StainNormalization") -> Tensor:
    """Return the optical density over white, relative to the slide's mean: the input of the network.

    Parameters
    ----------
    images : uint8 tensor (B, H, W, 3)
    stain_normalization : StainNormalization

    Returns
    -------
    float tensor (B, 3, H, W)
    """
    white = torch.tensor(stain_normalization.white, device=images.device)
    # slides.optical_density against full light, in torch: on the device, and in no more memory than needed.
    density = math.log(256) - torch.log(images.float() + 1)
    # This is already channels-last, the fastest memory format for convolutions.
    return density.sub_(white).div_(stain_normalization.strength).clamp_(*READ_RANGE).permute(0, 3, 1, 2)
