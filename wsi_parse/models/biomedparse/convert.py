"""The published checkpoint -> one safetensors file that can be mapped into memory; checked name by name."""

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from wsi_parse.errors import StoreError, WeightsError
from wsi_parse.files import atomic
from wsi_parse.models.biomedparse.names import UNUSED, published_shapes
from wsi_parse.models.biomedparse.sizes import SIZES_KEY, Sizes, read_sizes
from wsi_parse.models.weights import CACHE_VARIABLE

_SHOWN = 5
_REMEDY = "Take biomedparse_v1.pt of microsoft/BiomedParse, and download it again if it is damaged."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a published checkpoint: tensors only, mapped into memory, no code is run.

    Parameters
    ----------
    path : Path
        What `torch.save` wrote of a dict of tensors.

    Returns
    -------
    dict of published name to tensor
        Without those that inference does not use.

    Raises
    ------
    WeightsError
        Where the file is missing, truncated, holds code, or no dict of tensors.
    """
    try:
        found = _load(path)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} is no checkpoint, or holds more than tensors; it is not opened.", _REMEDY
        ) from error
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror or error}.", "Check the path.") from error
    except Exception as error:
        raise WeightsError(f"{path.name} is no checkpoint, or is damaged or truncated.", _REMEDY) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path.name} is not a plain set of tensors.", _REMEDY)
    return {name: value for name, value in found.items() if not UNUSED.fullmatch(name)}


def _load(path: Path) -> object:
    with warnings.catch_warnings():
        # What torch finds odd is refused below, or loads.
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            # Files older than torch 1.6 cannot be mapped.
            if "mmap can only be used" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)


def _first(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:160].rstrip(".")


def check(tensors: Mapping[str, Tensor], sizes: Sizes, name: str) -> None:
    """Compare names, shapes and number types with those of a network of the given sizes.

    Raises
    ------
    WeightsError
        Lists what is missing, what is there too much, and what has another shape.
    """
    expected = published_shapes(sizes)
    problems = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unknown": sorted(tensors.keys() - expected.keys()),
        "of another shape": [
            f"{key} {tuple(tensors[key].shape)}, not {shape}"
            for key, shape in expected.items()
            if key in tensors and tuple(tensors[key].shape) != shape
        ],
        "not float32": sorted(
            key for key, value in tensors.items() if key in expected and value.dtype != torch.float32
        ),
    }
    told = [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in problems.items() if keys]
    if told:
        raise WeightsError(f"{name} is not this network: {'; '.join(told)}.", _REMEDY)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def convert(checkpoint: Path, target: Path, sizes: Sizes) -> None:
    """Write the tensors that inference uses under their published names, and the sizes of the network beside them.

    Parameters
    ----------
    checkpoint : Path
        Of `torch.save`.
    target : Path
        Appears whole or not at all.
    sizes : Sizes
        What the checkpoint must be.
    """
    tensors = read_checkpoint(checkpoint)
    check(tensors, sizes, checkpoint.name)
    # What shares memory or lies crosswise is written out; that is rare.
    seen: set[int] = set()
    for name, value in tensors.items():
        if not value.is_contiguous() or value.untyped_storage().data_ptr() in seen:
            tensors[name] = value.contiguous().clone()
        seen.add(tensors[name].untyped_storage().data_ptr())
    try:
        with atomic(target) as temporary:
            save_file(tensors, temporary, {SIZES_KEY: json.dumps(asdict(sizes))})
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"The converted weights could not be written: {_first(error)}.",
            f"Free some space, or name another folder in {CACHE_VARIABLE}.",
        ) from error


def read_converted(path: Path) -> tuple[Sizes, dict[str, Tensor]]:
    """Map what :func:`convert` wrote into memory; pages are read when they are used.

    Returns
    -------
    sizes : Sizes
    tensors : dict of published name to tensor

    Raises
    ------
    WeightsError
        Where the file is damaged, or not of this package.
    """
    sizes = read_sizes(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged: {_first(error)}.", "Install or convert it again.") from error
    check(tensors, sizes, path.name)
    return sizes, tensors
