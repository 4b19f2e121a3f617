"""Facts of the machine, and the most memory that this process held."""

import platform
import resource
import sys
from typing import Any

import psutil

from wsi_parse.models.device_speed import devices, measure, peak_gpu_bytes

# Linux counts in kilobytes, macOS in bytes.
_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def machine_facts() -> dict[str, Any]:
    """Return system, memory and devices, with the speed of a convolution; no name of the machine or of its user."""
    speeds = [measure(device) for device in devices()]
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "devices": [
            {
                "device": speed.kind,
                "hardware": speed.name,
                "memory_mb": round(speed.memory_bytes / 1e6) if speed.memory_bytes else None,
                **{f"gflops_{precision}": round(value, 1) for precision, value in speed.gflops.items()},
            }
            for speed in speeds
        ],
    }


def peak_memory() -> dict[str, Any]:
    """Return the most memory that this process held, on the machine and on a GPU."""
    gpu_bytes = peak_gpu_bytes()
    return {
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT_BYTES / 1e6),
        "peak_gpu_memory_mb": round(gpu_bytes / 1e6) if gpu_bytes is not None else None,
    }
