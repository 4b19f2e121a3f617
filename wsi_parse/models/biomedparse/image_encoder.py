"""The image encoder: FocalNet-L of timm with four focal levels, and a LayerNorm on each of its four outputs."""

from functools import lru_cache

import torch
from timm.layers import LayerNorm2d
from timm.models.focalnet import FocalNet
from torch import Tensor, nn

from wsi_parse.models.biomedparse.focal import focal_block
from wsi_parse.models.biomedparse.network_sizes import FOCAL_LEVELS, FOCAL_WINDOW, STAGES, Sizes

# Means and standard deviations of ImageNet on the scale 0..255, RGB.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
_EPS = 1e-5


class Vision(nn.Module):
    """Turns pixels into features at strides 4, 8, 16 and 32.

    Parameters
    ----------
    sizes : Sizes

    Notes
    -----
    As configured for BiomedParse: overlapping downsampling, norms after each branch, layer scale, and the
    sum over focal levels divided by their number ("scaling modulator").
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        trunk = FocalNet(
            embed_dim=sizes.vision_width,
            depths=sizes.depths,
            focal_levels=(FOCAL_LEVELS,) * STAGES,
            focal_windows=(FOCAL_WINDOW,) * STAGES,
            use_overlap_down=True,
            use_post_norm=True,
            normalize_modulator=True,
            layerscale_value=1e-4,
        )
        # The last norm and the classifier of timm are not used.
        self.stem, self.layers = trunk.stem, trunk.layers
        self.norms = nn.ModuleList(LayerNorm2d(width, eps=_EPS) for width in sizes.vision_widths)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode images.

        Parameters
        ----------
        pixels : float tensor (B, 3, H, W)
            RGB on the scale 0..255; H and W multiples of 32.

        Returns
        -------
        list of four float tensors (B, C_s, H / s, W / s)
            s = 4, 8, 16, 32; C_s doubles from `sizes.vision_width` on.
        """
        mean, std = (_per_colour(values, pixels.device, pixels.dtype) for values in (PIXEL_MEAN, PIXEL_STD))
        x = self.stem(((pixels - mean) / std).contiguous(memory_format=torch.channels_last))
        features = []
        for stage, norm in zip(self.layers, self.norms, strict=True):
            x = stage.downsample(x)
            pixels = x.movedim(1, 3).contiguous()
            for block in stage.blocks:
                pixels = focal_block(block, pixels)
            x = pixels.movedim(3, 1)
            features.append(norm(x))
        return features


@lru_cache(maxsize=8)
def _per_colour(values: tuple[float, float, float], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return values as (1, 3, 1, 1); kept, for a copy to a GPU in each call is a wait and rules out CUDA graphs."""
    return torch.tensor(values, device=device, dtype=dtype).view(1, 3, 1, 1)
