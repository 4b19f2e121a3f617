"""The embedded weights: float16 safetensors inside the package."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from wsi_parse.errors import WeightsError
from wsi_parse.files import atomic
from wsi_parse.models.mini.network import MiniNetwork
from wsi_parse.models.weights import require_readable

_REMEDY = "Install wsi-parse again, or give weights that workflows/train_mini wrote."


def save_network(network: MiniNetwork, path: Path) -> None:
    """Write weights in float16, atomically."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"format": "wsi-parse mini", "widths": ",".join(map(str, network.widths))})


def load_network(path: Path) -> MiniNetwork:
    """Load a network from a file, in float32 and in evaluation mode.

    Raises
    ------
    WeightsError
        If the file cannot be read, or holds something else.
    """
    require_readable(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"Cannot read the weights {path.name}: {error}", _REMEDY) from error
    try:
        first, second, third, fourth = map(int, metadata["widths"].split(","))
        with torch.device("meta"):
            network = MiniNetwork((first, second, third, fourth))
        left = network.load_state_dict(tensors, strict=False, assign=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name} does not contain weights of the embedded model.", _REMEDY) from error
    missing = [name for name in left.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or left.unexpected_keys:
        wrong = [*missing, *left.unexpected_keys]
        raise WeightsError(
            f"{path.name} contains another network: {wrong[0]} and {len(wrong) - 1} more tensors differ.",
            _REMEDY,
        )
    for name, buffer in network.named_buffers():
        if buffer.is_meta:
            owner, _, own = name.rpartition(".")
            network.get_submodule(owner)._buffers[own] = torch.zeros((), dtype=torch.long)
    return network.eval()
