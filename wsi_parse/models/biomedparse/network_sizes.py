"""Sizes of a BiomedParse network: the released one, or a smaller one of the same architecture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from wsi_parse.errors import WeightsError
from wsi_parse.models.weights import require_readable

FOCAL_LEVELS = 4
FOCAL_WINDOW = 3
STAGES = 4
MASK_STRIDE = 4
PAD_MULTIPLE = 32


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one network of the family; the defaults are the released network.

    Parameters
    ----------
    vision_width : int
        Channels of the backbone at stride 4; doubled at strides 8, 16 and 32.
    depths : tuple of int
        Blocks of the backbone's four stages.
    width : int
        Channels of both decoders, and of the common space of text and queries.
    heads : int
        Attention heads of both decoders; not known from the tensors.
    encoder_layers, encoder_feedforward : int
        Of the transformer in the pixel decoder.
    decoder_layers, decoder_feedforward, queries : int
        Of the grounding decoder.
    text_width, text_layers, text_heads, text_feedforward : int
        Of the text tower; `text_heads` is not known from the tensors.
    vocabulary, text_length : int
        Number of known tokens, and of tokens per text.
    """

    vision_width: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    width: int = 512
    heads: int = 8
    encoder_layers: int = 6
    encoder_feedforward: int = 2048
    decoder_layers: int = 9
    decoder_feedforward: int = 2048
    queries: int = 101
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    text_feedforward: int = 2048
    vocabulary: int = 49408
    text_length: int = 77

    @property
    def vision_widths(self) -> tuple[int, ...]:
        """Channels of the backbone at strides 4, 8, 16, 32.

        >>> Sizes().vision_widths
        (192, 384, 768, 1536)
        """
        return tuple(self.vision_width << stage for stage in range(STAGES))

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]], *, heads: int = 8, text_heads: int = 8) -> "Sizes":
        """Derive the sizes from the shapes of published tensors.

        Parameters
        ----------
        shapes : mapping of published name to shape
        heads, text_heads : int
            Not known from the tensors.

        Raises
        ------
        WeightsError
            If a tensor is missing or has too few axes.
        """

        def size(name: str, axis: int = 0) -> int:
            try:
                return int(shapes[name][axis])
            except (KeyError, IndexError):
                raise WeightsError(
                    f"These are not weights of BiomedParse: {name} is missing or has no axis {axis}.",
                    "Use biomedparse_v1.pt of microsoft/BiomedParse.",
                ) from None

        def count(prefix: str) -> int:
            numbers = {name.removeprefix(prefix).partition(".")[0] for name in shapes if name.startswith(prefix)}
            return len(numbers)

        pixel, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
        encoder, text = f"{pixel}transformer.encoder.layers.", f"{predictor}lang_encoder.lang_encoder."
        return cls(
            vision_width=size("backbone.patch_embed.proj.weight"),
            depths=tuple(count(f"backbone.layers.{stage}.blocks.") for stage in range(STAGES)),
            width=size(f"{pixel}mask_features.weight"),
            heads=heads,
            encoder_layers=count(encoder),
            encoder_feedforward=size(f"{encoder}0.linear1.weight"),
            decoder_layers=count(f"{predictor}transformer_ffn_layers."),
            decoder_feedforward=size(f"{predictor}transformer_ffn_layers.0.linear1.weight"),
            queries=size(f"{predictor}query_feat.weight"),
            text_width=size(f"{text}token_embedding.weight", 1),
            text_layers=count(f"{text}resblocks."),
            text_heads=text_heads,
            text_feedforward=size(f"{text}resblocks.0.mlp.c_fc.weight"),
            vocabulary=size(f"{text}token_embedding.weight"),
            text_length=size(f"{text}positional_embedding"),
        )


RELEASED = Sizes()
SIZES_KEY = "sizes"


def read_sizes(path: Path) -> Sizes:
    """Read the sizes from the metadata of converted weights; no tensor is read.

    Raises
    ------
    WeightsError
        If the file is damaged, or was not written by this package.
    """
    remedy = "Convert a checkpoint: wsi-parse models get biomedparse --from FILE"
    require_readable(path)
    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(SIZES_KEY)
        if text is None:
            raise WeightsError(f"{path.name} does not state the sizes of its network.", remedy)
        values = json.loads(text)
        return Sizes(**{**values, "depths": tuple(values["depths"])})
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path.name} is not a file of converted weights.", remedy) from error
