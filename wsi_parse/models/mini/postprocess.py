"""From pixels to what the network reads, and from its answer to channels."""

import math

import torch
from torch import Tensor

from wsi_parse.errors import ModelError
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import READ_RANGE, MiniNetwork
from wsi_parse.models.mini.stain_normalization import StainNormalization


def channels_of(network: MiniNetwork, images: Tensor, stain_normalization: StainNormalization) -> dict[str, Tensor]:
    """Answer a batch of tiles.

    Parameters
    ----------
    network : MiniNetwork
    images : uint8 tensor (B, H, W, 3)
        RGB at 0.5 um/px.
    stain_normalization : StainNormalization
        Of the slide.

    Returns
    -------
    dict of channel name to uint8 tensor
        "nucleus" and "distance" (B, H, W); the names of CLASSES (B, H / 2, W / 2).
    """
    answer = network(relative_density(images, stain_normalization))
    # As whole numbers these would look like "nothing found".
    if not all(bool(torch.isfinite(part).all()) for part in answer):
        raise ModelError(
            "The embedded model (mini) gave numbers that are none (NaN or infinite).",
            "Try --set model.precision=float32.",
        )
    nucleus = torch.sigmoid(answer.nucleus.float())
    classes = torch.softmax(answer.classes.float(), dim=1)
    given = {"nucleus": nucleus, "distance": torch.sigmoid(answer.distance.float())}
    given |= {name: classes[:, index] for index, name in enumerate(CLASSES)}
    return {name: (values * 255).round_().to(torch.uint8) for name, values in given.items()}


def relative_density(images: Tensor, stain_normalization: StainNormalization) -> Tensor:
    """Optical density over white, as a share of the slide's mean: what the network reads.

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
    # Rows of pixels, colours together: that is already the memory format that convolutions like best.
    return density.sub_(white).div_(stain_normalization.strength).clamp_(*READ_RANGE).permute(0, 3, 1, 2)
