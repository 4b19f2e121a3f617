"""Names of the published tensors, and their names in our network; tensors are views, not copies."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from torch import Tensor

from wsi_parse.models.biomedparse.network_sizes import FOCAL_LEVELS, FOCAL_WINDOW, Sizes

# In the published file, but not used for inference: a BERT, spatial prompts, weights of a loss.
UNUSED = re.compile(
    r"dilation_kernel|criterion\.empty_weight|"
    r"sem_seg_head\.predictor\.(?:pn_indicator\.weight|mask_sptial_embed\.\d+|spatial_embed\.weight|"
    r"spatial_featured\.weight|lang_encoder\.logit_scale|lang_encoder\.biomed_encoder\..+)"
)
_TEXT = "sem_seg_head.predictor.lang_encoder.lang_encoder."
_CLIP = "text.tower.text_model."
_IN_PROJ = re.compile(r"attn\.in_proj_(weight|bias)$")
# Linear layers of the published backbone are convolutions of one pixel in timm's.
_AS_CONVOLUTION = re.compile(r"(modulation\.(f|proj)|mlp\.fc[12])\.weight$")

_BACKBONE = (
    (r"^backbone\.norm(\d)\.", r"vision.norms.\1."),
    (r"^backbone\.patch_embed\.", "vision.stem."),
    (r"^backbone\.", "vision."),
    (r"\.gamma_([12])$", r".ls\1.gamma"),
    (r"(blocks\.\d+)\.norm([12])\.", r"\1.norm\2_post."),
)
_DECODERS = (
    (r"^sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.", "pixel_decoder.encoder."),
    (r"^sem_seg_head\.pixel_decoder\.", "pixel_decoder."),
    (
        r"^sem_seg_head\.predictor\.transformer_(cross|self)_attention_layers\.(\d+)\.norm\.",
        r"grounding.layers.\2.\1_norm.",
    ),
    (
        r"^sem_seg_head\.predictor\.transformer_(cross|self)_attention_layers\.(\d+)\.(?:multihead|self)_attn\.",
        r"grounding.layers.\2.\1_attention.",
    ),
    (r"^sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.", r"grounding.layers.\1.feed_forward."),
    # The published perceptron counts its linear layers only.
    (r"^sem_seg_head\.predictor\.mask_embed\.layers\.0\.", "grounding.mask_embed.0."),
    (r"^sem_seg_head\.predictor\.mask_embed\.layers\.1\.", "grounding.mask_embed.2."),
    (r"^sem_seg_head\.predictor\.mask_embed\.layers\.2\.", "grounding.mask_embed.4."),
    (r"^sem_seg_head\.predictor\.", "grounding."),
)
_CLIP_NAMES = (
    (r"^token_embedding\.", "embeddings.token_embedding."),
    (r"^positional_embedding$", "embeddings.position_embedding.weight"),
    (r"^ln_final\.", "final_layer_norm."),
    (r"^resblocks\.", "encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


@lru_cache(maxsize=4)
def published_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return published name and shape of every tensor that a network of these sizes uses."""
    width, text, hidden = sizes.width, sizes.text_width, sizes.text_feedforward
    decoder, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
    shapes = _backbone_shapes(sizes)
    for number, channels in enumerate(sizes.vision_widths[:-1], 1):
        shapes |= _with_norm(f"{decoder}adapter_{number}", (width, channels, 1, 1))
    for number in (1, 2, 3, 4):
        shapes |= _with_norm(f"{decoder}layer_{number}", (width, width, 3, 3))
    shapes |= _with_bias(f"{decoder}mask_features", (width, width, 3, 3))
    shapes |= _with_bias(f"{decoder}input_proj", (width, sizes.vision_widths[-1], 1, 1))
    for number in range(sizes.encoder_layers):
        layer = f"{decoder}transformer.encoder.layers.{number}."
        shapes |= _attention(f"{layer}self_attn.", width) | _perceptron(layer, width, sizes.encoder_feedforward)
        shapes |= _norm(f"{layer}norm1", width) | _norm(f"{layer}norm2", width)
    for number in range(sizes.decoder_layers):
        for kind, inner in (("cross", "multihead_attn"), ("self", "self_attn")):
            layer = f"{predictor}transformer_{kind}_attention_layers.{number}."
            shapes |= _attention(f"{layer}{inner}.", width) | _norm(f"{layer}norm", width)
        layer = f"{predictor}transformer_ffn_layers.{number}."
        shapes |= _perceptron(layer, width, sizes.decoder_feedforward) | _norm(f"{layer}norm", width)
    shapes |= _norm(f"{predictor}decoder_norm", width) | {f"{predictor}class_embed": (width, width)}
    shapes |= {f"{predictor}{name}.weight": (sizes.queries, width) for name in ("query_feat", "query_embed")}
    shapes |= {f"{predictor}level_embed.weight": (3, width), f"{predictor}lang_encoder.lang_proj": (text, width)}
    for number in range(3):
        shapes |= _with_bias(f"{predictor}mask_embed.layers.{number}", (width, width))
    shapes |= {f"{_TEXT}token_embedding.weight": (sizes.vocabulary, text)}
    shapes |= {f"{_TEXT}positional_embedding": (sizes.text_length, text)} | _norm(f"{_TEXT}ln_final", text)
    for number in range(sizes.text_layers):
        layer = f"{_TEXT}resblocks.{number}."
        shapes |= _attention(f"{layer}attn.", text) | _norm(f"{layer}ln_1", text) | _norm(f"{layer}ln_2", text)
        shapes |= _with_bias(f"{layer}mlp.c_fc", (hidden, text)) | _with_bias(f"{layer}mlp.c_proj", (text, hidden))
    return shapes


_Shapes = dict[str, tuple[int, ...]]


def _backbone_shapes(sizes: Sizes) -> _Shapes:
    widths = sizes.vision_widths
    shapes = _with_bias("backbone.patch_embed.proj", (widths[0], 3, 7, 7))
    shapes |= _norm("backbone.patch_embed.norm", widths[0])
    for stage, (width, depth) in enumerate(zip(widths, sizes.depths, strict=True)):
        shapes |= _norm(f"backbone.norm{stage}", width)
        if stage:
            down = f"backbone.layers.{stage - 1}.downsample."
            shapes |= _with_bias(f"{down}proj", (width, widths[stage - 1], 3, 3)) | _norm(f"{down}norm", width)
        for number in range(depth):
            block = f"backbone.layers.{stage}.blocks.{number}."
            shapes |= {f"{block}gamma_1": (width,), f"{block}gamma_2": (width,)}
            shapes |= _norm(f"{block}norm1", width) | _norm(f"{block}norm2", width)
            shapes |= _with_bias(f"{block}modulation.f", (2 * width + FOCAL_LEVELS + 1, width))
            shapes |= _with_bias(f"{block}modulation.h", (width, width, 1, 1))
            shapes |= _with_bias(f"{block}modulation.proj", (width, width))
            shapes |= _with_bias(f"{block}mlp.fc1", (4 * width, width))
            shapes |= _with_bias(f"{block}mlp.fc2", (width, 4 * width))
            for level in range(FOCAL_LEVELS):
                side = FOCAL_WINDOW + 2 * level
                shapes[f"{block}modulation.focal_layers.{level}.0.weight"] = (width, 1, side, side)
    return shapes


def _with_bias(name: str, shape: tuple[int, ...]) -> _Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name: str, width: int) -> _Shapes:
    return _with_bias(name, (width,))


def _with_norm(name: str, shape: tuple[int, ...]) -> _Shapes:
    return {f"{name}.weight": shape} | _norm(f"{name}.norm", shape[0])


def _attention(prefix: str, width: int) -> _Shapes:
    packed = {f"{prefix}in_proj_weight": (3 * width, width), f"{prefix}in_proj_bias": (3 * width,)}
    return packed | _with_bias(f"{prefix}out_proj", (width, width))


def _perceptron(prefix: str, width: int, hidden: int) -> _Shapes:
    return _with_bias(f"{prefix}linear1", (hidden, width)) | _with_bias(f"{prefix}linear2", (width, hidden))


def to_network_names(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert published tensors to the names and shapes of :class:`BiomedParse`.

    Parameters
    ----------
    published : mapping of published name to tensor
        Without the unused ones.

    Returns
    -------
    dict of network name to tensor
        Views of the same memory.
    """
    return {name: tensor for key, value in published.items() for name, tensor in _network_tensors(key, value)}


def _network_tensors(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    if key.startswith("backbone."):
        name = _renamed(key, _BACKBONE)
        # timm downsamples at the beginning of a stage, the published code at the end of the one before.
        name = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) + 1}.downsample", name)
        yield name, value[:, :, None, None] if _AS_CONVOLUTION.search(key) else value
    elif key.startswith(_TEXT):
        name = _CLIP + _renamed(key.removeprefix(_TEXT), _CLIP_NAMES)
        packed = _IN_PROJ.search(name)
        if packed is None:
            yield name, value
            return
        for letter, part in zip("qkv", value.chunk(3), strict=True):
            yield name.replace(packed[0], f"self_attn.{letter}_proj.{packed[1]}"), part
    elif key == "sem_seg_head.predictor.lang_encoder.lang_proj":
        yield "text.tower.text_projection.weight", value.T
    else:
        yield _renamed(key, _DECODERS), value


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
