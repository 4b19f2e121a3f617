"""Converts the published checkpoint to a safetensors file that can be mapped into memory; checks every tensor."""

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
from wsi_parse.models.biomedparse.network_sizes import SIZES_KEY, Sizes, read_sizes
from wsi_parse.models.biomedparse.tensor_names import UNUSED, published_shapes
from wsi_parse.models.weights import CACHE_VARIABLE

_SHOWN = 5
_REMEDY = "Use biomedparse_v1.pt of microsoft/BiomedParse; download it again if it is damaged."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a published checkpoint: only tensors, mapped into memory; no code is run.

    Parameters
    ----------
    path : Path
        A dict of tensors, written by `torch.save`.

    Returns
    -------
    dict of published name to tensor
        Without the tensors that inference does not use.

    Raises
    ------
    WeightsError
        If the file is missing, truncated, holds code, or is not a dict of tensors.
    """
    try:
        found = _load(path)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} was not opened, because it is not a checkpoint or contains more than tensors.", _REMEDY
        ) from error
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror or error}.", "Check the path.") from error
    except Exception as error:
        raise WeightsError(f"{path.name} is not a checkpoint, or is damaged or truncated.", _REMEDY) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path.name} is not a plain set of tensors.", _REMEDY)
    return {name: value for name, value in found.items() if not UNUSED.fullmatch(name)}


def _load(path: Path) -> object:
    with warnings.catch_warnings():
        # What torch warns about either loads or is refused below.
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
        Lists missing and unknown tensors, and those with another shape.
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
    differences = [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in problems.items() if keys]
    if differences:
        raise WeightsError(f"{name} does not match the network: {'; '.join(differences)}.", _REMEDY)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def convert(checkpoint: Path, target: Path, sizes: Sizes) -> None:
    """Write the tensors for inference under their published names, together with the sizes of the network.

    Parameters
    ----------
    checkpoint : Path
        Written by `torch.save`.
    target : Path
        Written atomically.
    sizes : Sizes
        The sizes that the checkpoint must have.
    """
    tensors = read_checkpoint(checkpoint)
    check(tensors, sizes, checkpoint.name)
    # Tensors that share memory or are not contiguous are copied; they are rare.
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
            f"Free some space, or set {CACHE_VARIABLE} to another folder.",
        ) from error


def read_converted(path: Path) -> tuple[Sizes, dict[str, Tensor]]:
    """Map a file of :func:`convert` into memory; pages are read when they are used.

    Returns
    -------
    sizes : Sizes
    tensors : dict of published name to tensor

    Raises
    ------
    WeightsError
        If the file is damaged, or was not written by this package.
    """
    sizes = read_sizes(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged: {_first(error)}.", "Install or convert it again.") from error
    check(tensors, sizes, path.name)
    return sizes, tensors
