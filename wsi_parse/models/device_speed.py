"""What devices this machine has, and how fast each multiplies in float32 and in bfloat16, measured by a convolution."""

import time
from dataclasses import dataclass

import torch

from wsi_parse.models.device import Precision, device_name, memory_bytes

# A layer as networks for slides have it: 64 channels of 128 x 128 pixels, 3 x 3 weights.
_CHANNELS, _SIDE_PX, _KERNEL_PX = 64, 128, 3
_GIGA = 1e9


@dataclass(frozen=True)
class DeviceSpeed:
    """A device, and how fast it is.

    Parameters
    ----------
    kind, name : str
        "cpu" or "cuda:0", and what the hardware is called.
    memory_bytes : int or None
        Of a GPU.
    free_bytes : int or None
        Of that, what nobody uses now.
    gflops : dict of precision to float
        Thousand million multiplications and additions in a second.
    """

    kind: str
    name: str
    memory_bytes: int | None
    free_bytes: int | None
    gflops: dict[Precision, float]

    @property
    def fastest(self) -> Precision:
        """The precision that is faster here."""
        return max(self.gflops, key=lambda precision: self.gflops[precision])


def devices() -> list[torch.device]:
    """Return what networks can run on: each GPU, then the processor."""
    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [*gpus, torch.device("cpu")]


def has_mps() -> bool:
    """Return whether there is a GPU of Apple, which networks of this package do not use."""
    return bool(torch.backends.mps.is_available())


def torch_build() -> tuple[str, str | None]:
    """Return the version of torch, and that of CUDA for which it was built; None for a build without."""
    return str(torch.__version__), torch.version.cuda


def measure(device: torch.device, seconds: float = 0.4) -> DeviceSpeed:
    """Measure a device.

    Parameters
    ----------
    device : torch.device
    seconds : float
        For each precision, after one call that is not counted.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    gflops: dict[Precision, float] = {
        "float32": _gflops(device, torch.float32, seconds),
        "bfloat16": _gflops(device, torch.bfloat16, seconds),
    }
    return DeviceSpeed(str(device), device_name(device), memory_bytes(device), free, gflops)


def _gflops(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    # As in a run: without the TensorFloat-32 that cuDNN otherwise takes for float32.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        pixels = torch.ones(1, _CHANNELS, _SIDE_PX, _SIDE_PX, dtype=dtype, device=device)
        weights = torch.ones(_CHANNELS, _CHANNELS, _KERNEL_PX, _KERNEL_PX, dtype=dtype, device=device)
        _wait(torch.conv2d(pixels, weights))
        started, calls = time.perf_counter(), 0
        while (took := time.perf_counter() - started) < seconds or not calls:
            result = torch.conv2d(pixels, weights)
            # A GPU takes orders faster than it carries them out.
            _wait(result)
            calls += 1
    operations = 2 * result.numel() * _CHANNELS * _KERNEL_PX**2
    return calls * operations / took / _GIGA


def _wait(result: torch.Tensor) -> None:
    if result.is_cuda:
        torch.cuda.synchronize(result.device)


def peak_gpu_bytes() -> int | None:
    """Return the most memory that this process held of any GPU; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    return max(int(torch.cuda.max_memory_allocated(index)) for index in range(torch.cuda.device_count()))
