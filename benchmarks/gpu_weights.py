"""Networks of BiomedParse for `benchmarks.gpu`: full-size or tiny, of the recipe where the caller brought it.

The folder that the caller brings holds copies of the files of the numeric reference: `recipe.py`, `keys_tiny.json` and
`golden_*.npz`. Without it, weights are random, which changes no time.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from wsi_parse.models.biomedparse import text_encoder
from wsi_parse.models.biomedparse.network_sizes import RELEASED, SIZES_KEY, Sizes
from wsi_parse.models.biomedparse.tensor_names import published_shapes
from wsi_parse.models.biomedparse.tokens import END, START

_TINY_HEADS = 4
#: The architecture of the released network, in a few seconds of a processor.
TINY = Sizes(
    vision_width=32,
    depths=(1, 1, 2, 1),
    width=64,
    heads=_TINY_HEADS,
    encoder_layers=1,
    encoder_feedforward=128,
    decoder_layers=3,
    decoder_feedforward=128,
    queries=17,
    text_width=64,
    text_layers=1,
    text_heads=_TINY_HEADS,
    text_feedforward=128,
)
#: Prompts in the order in which they are added, with their tokens: the vocabulary is not needed.
TOKENS = {
    "neoplastic cells": (557, 36270, 1561, 8890),
    "inflammatory cells": (26831, 8890),
    "connective tissue cells": (8437, 9313, 15368, 8890),
    "epithelial cells": (7219, 15277, 566, 8890),
}
PROMPTS = tuple(TOKENS)
MakeTensor = Callable[[str, tuple[int, ...]], Tensor]


def weights_file(path: Path, sizes: Sizes, reference: Path | None) -> Path:
    """Write converted weights, unless the file is there already."""
    if not path.exists():
        make = _recipe(reference) if reference is not None else random_tensors()
        tensors = {name: make(name, shape).contiguous() for name, shape in published_shapes(sizes).items()}
        save_file(tensors, path, {SIZES_KEY: json.dumps(asdict(sizes))})
    return path


def sizes_of(keys: Path) -> Sizes:
    """Return the sizes of the tiny network of the reference, by the shapes of its tensors."""
    shapes = {key: facts["shape"] for key, facts in json.loads(keys.read_text(encoding="utf-8")).items()}
    return Sizes.of_shapes(shapes, heads=_TINY_HEADS, text_heads=_TINY_HEADS)


def full_or_tiny(*, tiny: bool) -> Sizes:
    """Return the sizes to measure."""
    return TINY if tiny else RELEASED


@contextmanager
def tokens_known(more: Mapping[str, list[int]] | None = None) -> Iterator[None]:
    """Know the tokens of the prompts without the package that holds the vocabulary.

    Parameters
    ----------
    more : mapping of text to tokens, optional
        With start and end.
    """
    known = {text: [START, *tokens, END] for text, tokens in TOKENS.items()} | dict(more or {})
    with patch.object(text_encoder, "tokenise", lambda text, length: known[text][:length]):
        yield


def tokens_in(golden: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the tokens of the prompts of a golden file."""
    rows = zip(golden["prompts"], golden["input_ids"], golden["attention_mask"], strict=True)
    return {str(text): [int(token) for token in ids[mask > 0]] for text, ids, mask in rows}


def random_tensors() -> MakeTensor:
    """Return what makes each tensor by chance, always the same ones in the same order."""
    generator = torch.Generator().manual_seed(0)

    def make(name: str, shape: tuple[int, ...]) -> Tensor:
        del name
        return torch.randn(shape, generator=generator) * (0.02 if len(shape) > 1 else 0.1)

    return make


def _recipe(reference: Path) -> MakeTensor:
    spec = importlib.util.spec_from_file_location("recipe", reference / "recipe.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(reference / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda name, shape: torch.from_numpy(np.array(module.weight(name, shape)))
