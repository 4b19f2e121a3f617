"""The device and the numerical precision of a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from wsi_parse.errors import SettingsError

Precision = Literal["float32", "bfloat16"]
# The first GPUs that multiply bfloat16 matrices in hardware (Ampere).
_BFLOAT16_CAPABILITY = 8


def choose_device(name: str) -> torch.device:
    """Resolve "auto" (a GPU if there is one), or check the requested device.

    Raises
    ------
    SettingsError
        If the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"There is no device named {name!r}.", "Use cpu, cuda, or for example cuda:1.") from error
    if device.type not in {"cpu", "cuda"}:
        raise SettingsError(f"The device {name!r} is not supported.", "Use cpu, cuda, or for example cuda:1.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"The device {name!r} does not exist: {torch.cuda.device_count()} GPUs are visible.",
            "Check the driver (nvidia-smi), or use --set model.device=cpu.",
        )
    return device


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Resolve "auto": bfloat16 if the hardware multiplies it, else float32."""
    if wanted == "float32":
        return "float32"
    if wanted == "bfloat16":
        return "bfloat16"
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device)[0] >= _BFLOAT16_CAPABILITY
    else:
        capabilities = torch.cpu.get_capabilities()
        fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return "bfloat16" if fast else "float32"


@contextmanager
def compute_in(precision: str, device: torch.device, threads: int | None) -> Iterator[None]:
    """Compute in a precision, in the same way each time.

    float32 is exact, without the TensorFloat-32 that cuDNN otherwise uses for convolutions. The number of threads
    decides the order of sums. Not for several callers at once.
    """
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    bfloat16 = precision == "bfloat16"
    with (
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=bfloat16),
        torch.autocast(device.type, torch.bfloat16, enabled=bfloat16),
    ):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on many small tensors, which takes longer in several threads that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def device_name(device: torch.device) -> str:
    """Return the name of the hardware, for the manifest."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name", "cpu"))


def memory_bytes(device: torch.device) -> int | None:
    """Return the total memory of a GPU; None for the CPU."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)
