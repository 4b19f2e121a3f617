"""The numeric reference of BiomedParse, outside of the project: named by WSI_PARSE_REFERENCE."""

import importlib.util
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.shared import missing
from wsi_parse.models.biomedparse.network_sizes import RELEASED, Sizes

TINY_HEADS = 4


def reference_root() -> Path:
    """Folder of the golden files; skip the test where it is absent, fail where that cannot be under CI."""
    default = Path(__file__).resolve().parents[4] / "shared" / "reference"
    root = Path(os.environ.get("WSI_PARSE_REFERENCE", default)) / "biomedparse"
    if not root.is_dir():
        missing(f"no numeric reference at {root}: set WSI_PARSE_REFERENCE")
    return root


@lru_cache(maxsize=1)
def _recipe() -> Any:
    spec = importlib.util.spec_from_file_location("recipe", reference_root() / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys(name: str) -> dict[str, dict[str, Any]]:
    """Tensors of a published state: name -> shape, dtype, used."""
    return json.loads((reference_root() / f"{name}.json").read_text(encoding="utf-8"))


def checkpoint(name: str, *, everything: bool) -> dict[str, torch.Tensor]:
    """A state as it is published, made by the recipe; with or without what inference does not use."""
    tensors = {}
    for key, facts in keys(name).items():
        if not facts["used"] and not everything:
            continue
        if _recipe().skip(key):
            tensors[key] = torch.zeros(facts["shape"])
        else:
            tensors[key] = torch.from_numpy(np.array(_recipe().weight(key, facts["shape"])))
    if everything:
        tensors["criterion.empty_weight"] = torch.ones(17)
    return tensors


def sizes_of(name: str) -> Sizes:
    if name == "keys":
        return RELEASED
    shapes = {key: facts["shape"] for key, facts in keys(name).items()}
    return Sizes.of_shapes(shapes, heads=TINY_HEADS, text_heads=TINY_HEADS)


def golden(name: str) -> Mapping[str, np.ndarray]:
    with np.load(reference_root() / f"golden_{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
