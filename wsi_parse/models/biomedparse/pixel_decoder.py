"""The pixel decoder: a transformer over stride 32, then a feature pyramid up to stride 4.

The published network convolves its finest features to "mask features", multiplies these with the vector of each query
to get a mask, and downsamples the masks of all queries for their attention. All of this is linear. So here the
convolution is combined with the downsampling (it is computed at strides 8, 16 and 32 only) and, for the one mask that
is drawn at stride 4, with the vector of the query. This saves a twentieth of the operations of the whole network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsi_parse.models.biomedparse.layers import Attention
from wsi_parse.models.biomedparse.network_sizes import Sizes
from wsi_parse.models.biomedparse.positions import sine_positions

_GROUPS = 32


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of images, independent of prompts.

    Parameters
    ----------
    levels : tuple of three float tensors (B, C, H / s, W / s)
        s = 32, 16, 8.
    mask_features : tuple of three float tensors (B, C, H / s, W / s)
        Mask features, downsampled bilinearly; their product with a query's vector is its mask at that stride.
    finest : float tensor (B, C, H / 4, W / 4)
        The features that masks are drawn from.
    """

    levels: tuple[Tensor, ...]
    mask_features: tuple[Tensor, ...]
    finest: Tensor


class PixelDecoder(nn.Module):
    """Features of four strides to features for queries and for masks.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        fine, middle, coarse, coarsest = sizes.vision_widths
        self.input_proj = nn.Conv2d(coarsest, width, 1)
        self.encoder = nn.ModuleList(
            EncoderLayer(width, sizes.heads, sizes.encoder_feedforward) for _ in range(sizes.encoder_layers)
        )
        self.layer_4 = NormedConv(width, width, 3)
        self.adapter_3, self.layer_3 = NormedConv(coarse, width, 1), NormedConv(width, width, 3)
        self.adapter_2, self.layer_2 = NormedConv(middle, width, 1), NormedConv(width, width, 3)
        self.adapter_1, self.layer_1 = NormedConv(fine, width, 1), NormedConv(width, width, 3)
        self.mask_features = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: list[Tensor]) -> ImageFeatures:
        """Decode.

        Parameters
        ----------
        features : list of four float tensors (B, C_s, H / s, W / s)
            s = 4, 8, 16, 32; of :class:`Vision`.
        """
        fine, middle, coarse, coarsest = features
        level_32 = self.layer_4(self.encode(coarsest)).relu_()
        level_16 = self.layer_3(_add_upsampled(level_32, self.adapter_3(coarse))).relu_()
        level_8 = self.layer_2(_add_upsampled(level_16, self.adapter_2(middle))).relu_()
        level_4 = self.layer_1(_add_upsampled(level_8, self.adapter_1(fine))).relu_()
        return ImageFeatures((level_32, level_16, level_8), self.downsampled_mask_features(level_4), level_4)

    def encode(self, coarsest: Tensor) -> Tensor:
        """Let all positions of stride 32 attend to one another: (B, C_32, H / 32, W / 32) to (B, C, H / 32, W / 32)."""
        x = self.input_proj(coarsest)
        height, width = x.shape[2:]
        positions = sine_positions(height, width, x.shape[1], x.device, x.dtype)
        sequence = x.flatten(2).transpose(1, 2)
        for layer in self.encoder:
            sequence = layer(sequence, positions)
        return sequence.transpose(1, 2).unflatten(2, (height, width))

    def downsampled_mask_features(self, finest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mask features at strides 32, 16 and 8, as `interpolate(mode="bilinear")` of those at stride 4 gives them.

        Between pixel centres, halving averages 2 x 2 pixels, and quartering the middle 2 x 2 of 4 x 4; a mean of four
        neighbouring results of a 3 x 3 kernel is the result of one 4 x 4 kernel.

        Parameters
        ----------
        finest : float tensor (B, C, H / 4, W / 4)
        """
        kernel = functional.pad(self.mask_features.weight, (0, 1, 0, 1))
        kernel = (kernel + kernel.roll(1, 2)) / 2
        kernel = (kernel + kernel.roll(1, 3)) / 2
        bias = self.mask_features.bias
        return (
            functional.conv2d(finest[:, :, 2:-2, 2:-2], kernel, bias, stride=8),
            functional.conv2d(finest, kernel, bias, stride=4),
            functional.conv2d(finest, kernel, bias, stride=2, padding=1),
        )

    def draw(self, vectors: Tensor, finest: Tensor) -> Tensor:
        """Draw masks: the product of each vector with the mask features, which are not computed themselves.

        Parameters
        ----------
        vectors : float tensor (B, N, C)
        finest : float tensor (B, C, H / 4, W / 4)

        Returns
        -------
        float32 tensor (B, N, H / 4, W / 4)
            In float32 also under autocast: it is cheap, and a threshold is applied to it.
        """
        with torch.autocast(finest.device.type, enabled=False):
            return self._drawn(vectors.float(), finest.float())

    def _drawn(self, vectors: Tensor, finest: Tensor) -> Tensor:
        batch, count = vectors.shape[:2]
        size = self.mask_features.kernel_size[0]
        # One kernel per vector; its taps are applied to each pixel first, then the results are shifted and summed.
        kernels = torch.einsum("bno,oikl->bnkli", vectors, self.mask_features.weight).flatten(1, 3)
        taps = torch.bmm(kernels, finest.flatten(2)).view(batch, count, size * size, *finest.shape[2:])
        padded = functional.pad(taps, (size // 2,) * 4)
        height, width = finest.shape[2:]
        masks = (vectors @ self.mask_features.bias)[:, :, None, None].repeat(1, 1, height, width)
        for tap in range(size * size):
            down, across = divmod(tap, size)
            masks += padded[:, :, tap, down : down + height, across : across + width]
        return masks


def _add_upsampled(coarse: Tensor, fine: Tensor) -> Tensor:
    """Add a map to one of twice its size, in place: each pixel of `coarse` to four of `fine`."""
    fine.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).add_(coarse[:, :, :, None, :, None])
    return fine


class NormedConv(nn.Conv2d):
    """Convolution without bias, then GroupNorm: (B, C_in, H, W) to (B, C_out, H, W)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise."""
        return self.norm(super().forward(x))


class EncoderLayer(nn.Module):
    """Self-attention and perceptron, each followed by its norm; positions are added to queries and keys.

    Parameters
    ----------
    width, heads, hidden : int
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Map (B, L, C), with positions (L, C), to (B, L, C)."""
        positioned = x + positions
        x = self.norm1(x + self.self_attn(positioned, positioned, x))
        return self.norm2(x + self.linear2(self.linear1(x).relu()))
