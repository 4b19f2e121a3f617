"""The network of the embedded model: a residual U-Net that never computes at full resolution.

First 2 x 2 pixels are folded into channels (strides 2 to 16 follow), at the end they are unfolded: all detail is kept
at a quarter of the cost. There are three outputs: nucleus and distance for each pixel, and the class of a nucleus at
stride 2, which is the sum of a class head (stride 2) and a context head (stride 8).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from wsi_parse.models.mini.facts import CLASSES

#: The sides of an image must be multiples of this.
DEEPEST_STRIDE = 16
#: Relative density is clipped to this range: 0 is white, 1 the mean of stained pixels.
READ_RANGE = (-0.2, 5.0)
_FOLD = 2
#: Dropout of the channels for classes in training: few fields have classes, and the network would memorise them.
_DROPPED = 0.2


class Outputs(NamedTuple):
    """Outputs of the network for a batch, before sigmoid and softmax.

    Parameters
    ----------
    nucleus : float tensor (B, H, W)
    distance : float tensor (B, H, W)
        Distance of a pixel to the border of its nucleus, relative to the largest in that nucleus.
    classes : float tensor (B, 5, H / 2, W / 2)
        In the order of :data:`CLASSES`; meaningful inside nuclei only.
    """

    nucleus: Tensor
    distance: Tensor
    classes: Tensor


class MiniNetwork(nn.Module):
    """The embedded network.

    Parameters
    ----------
    widths : four ints
        Channels at strides 2, 4, 8, 16.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 96, 160)) -> None:
        super().__init__()
        self.widths = first, second, third, fourth = widths
        self.stem = nn.Sequential(_Convolution(3 * _FOLD**2, first), _Convolution(first, first))
        self.down4 = nn.Sequential(_Convolution(first, second, stride=2), _Residual(second))
        self.down8 = nn.Sequential(_Convolution(second, third, stride=2), _Residual(third))
        self.down16 = nn.Sequential(_Convolution(third, fourth, stride=2), _Residual(fourth), _Residual(fourth, 2))
        self.up8 = _Up(fourth, third)
        self.up4 = _Up(third, second)
        self.up2 = _Up(second, first)
        self.shape = nn.Conv2d(first, 2 * _FOLD**2, 3, padding=1)
        self.class_head = nn.Conv2d(first, len(CLASSES), 1)
        self.context_head = nn.Conv2d(third, len(CLASSES), 1)

    def forward(self, images: Tensor) -> Outputs:
        """Map relative densities (B, 3, H, W) within READ_RANGE; H and W divide by :data:`DEEPEST_STRIDE`."""
        at2 = self.stem(functional.pixel_unshuffle(images - 1.0, _FOLD))
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at8 = self.up8(self.down16(at8), at8)
        at2 = self.up2(self.up4(at8, at4), at2)
        shape = functional.pixel_shuffle(self.shape(at2), _FOLD)
        at8, at2 = (functional.dropout2d(values, _DROPPED, self.training) for values in (at8, at2))
        context = functional.interpolate(self.context_head(at8), scale_factor=4, mode="bilinear")
        return Outputs(shape[:, 0], shape[:, 1], self.class_head(at2) + context)


class _Convolution(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU (or none)."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1, rectified: bool = True
    ) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True) if rectified else nn.Identity())


class _Residual(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _Convolution(width, width, dilation=dilation)
        self.second = _Convolution(width, width, dilation=dilation, rectified=False)

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu_(self.second(self.first(values)) + values)


class _Up(nn.Module):
    """Upsample twice, and add the features of the way down."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(inputs, outputs, 1)
        self.block = _Residual(outputs)

    def forward(self, values: Tensor, skipped: Tensor) -> Tensor:
        wide: Tensor = functional.interpolate(self.narrow(values), scale_factor=2.0, mode="nearest")
        joined: Tensor = self.block(wide + skipped)
        return joined


def fuse(network: MiniNetwork) -> MiniNetwork:
    """Fold the normalisation of a network in evaluation mode into its convolutions, in place."""
    for part in network.modules():
        if isinstance(part, _Convolution):
            part[0] = fuse_conv_bn_eval(part[0], part[1])
            part[1] = nn.Identity()
    return network.to(memory_format=torch.channels_last)
