"""The whole network: images are encoded once, for any number of prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsi_parse.models.biomedparse.grounding_decoder import Choice, GroundingDecoder
from wsi_parse.models.biomedparse.image_encoder import PIXEL_MEAN, Vision
from wsi_parse.models.biomedparse.network_sizes import MASK_STRIDE, PAD_MULTIPLE, Sizes
from wsi_parse.models.biomedparse.pixel_decoder import ImageFeatures, PixelDecoder
from wsi_parse.models.biomedparse.text_encoder import Text, TextEmbeddings


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The selected query of each prompt, and its mask.

    Parameters
    ----------
    choice : Choice
    mask_logits : float32 tensor (B, N, H / 4, W / 4)
        H and W padded to multiples of 32.
    """

    choice: Choice
    mask_logits: Tensor


class BiomedParse(nn.Module):
    """BiomedParse v1.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.vision = Vision(sizes)
        self.pixel_decoder = PixelDecoder(sizes)
        self.text = Text(sizes)
        self.grounding = GroundingDecoder(sizes)

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Encode images, independent of prompts.

        Parameters
        ----------
        pixels : float tensor (B, 3, H, W)
            RGB on the scale 0..255. H and W are padded to multiples of 32 with the mean colour.
        """
        height, width = pixels.shape[2:]
        right, below = -width % PAD_MULTIPLE, -height % PAD_MULTIPLE
        if right or below:
            # Zero after normalisation.
            mean = pixels.new_tensor(PIXEL_MEAN).view(1, 3, 1, 1)
            pixels = functional.pad(pixels - mean, (0, right, 0, below)) + mean
        return self.pixel_decoder(self.vision(pixels))

    def encode_text(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode N prompts; once per run is enough."""
        return self.text(texts)

    def segment(self, image: ImageFeatures, text: TextEmbeddings) -> Segmentation:
        """Segment B images for N prompts, each prompt on its own."""
        choice = self.grounding.select(self.grounding(image, text), text.sentences)
        return Segmentation(choice, self.pixel_decoder.draw(choice.vector, image.finest))

    def forward(self, pixels: Tensor, text: TextEmbeddings) -> Tensor:
        """Return the probability of N prompts on B images.

        Parameters
        ----------
        pixels : float tensor (B, 3, H, W)
            RGB on the scale 0..255.
        text : TextEmbeddings

        Returns
        -------
        float32 tensor (B, N, ceil(H / 4), ceil(W / 4))
        """
        height, width = (-(-size // MASK_STRIDE) for size in pixels.shape[2:])
        return torch.sigmoid(self.segment(self.encode_image(pixels), text).mask_logits[:, :, :height, :width])
