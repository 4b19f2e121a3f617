"""Processor, memory and GPUs, their measured speed, and whether the automatic precision is the faster one."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from wsi_parse.doctor.finding import Finding, Status, bytes_in_words
from wsi_parse.models.device import choose_precision
from wsi_parse.models.device_speed import DeviceSpeed, devices, has_mps, measure, torch_build

# A slide with a million cells takes 1.3 GB; with less than this free, a run is likely to end for lack of it.
_ENOUGH_BYTES, _LEAST_BYTES = 4e9, 1.5e9
# Differences below this are not worth a setting.
_WORTHWHILE = 1.3
_DRIVER = Path("/proc/driver/nvidia/version")
# The limit that a container, or a job of a batch system, has.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))


def check_device(check: str) -> Iterator[Finding]:
    """Measure each device that networks can run on."""
    yield _memory(check)
    version, cuda = torch_build()
    found = devices()
    for device in found:
        try:
            speed = measure(device)
        except RuntimeError as error:
            text = " ".join(str(error).split())[:200]
            yield Finding(check, str(device), "fail", f"{device} does not compute: {text}.", _WITHOUT_GPU)
        else:
            yield _speed(check, speed, choose_precision("auto", device))
    if len(found) == 1:
        yield _without_gpu(check, version, cuda)
    if has_mps():
        text = "There is a GPU of Apple (MPS); networks run on the processor, because results on MPS are not tested."
        yield Finding(check, "mps", "ok", text)


_MORE_MEMORY = "close other programs, or ask the batch system for more (--mem 8G)"
_WITHOUT_GPU = "nvidia-smi   (is the driver well?); or run with --set model.device=cpu"


def _memory(check: str) -> Finding:
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limits = [(_number(limit), _number(used)) for limit, used in zip(_LIMITS, _USED, strict=True)]
    for limit, used in limits:
        if limit is not None and limit < total:
            total, free = limit, min(free, limit - (used or 0))
    cores = _cores()
    text = f"{bytes_in_words(free)} of {bytes_in_words(total)} are free; {cores} processor cores may be used"
    facts = {"memory_bytes": total, "free_bytes": free, "cores": cores}
    if free >= _ENOUGH_BYTES:
        return Finding(check, "memory", "ok", f"{text}.", facts=facts)
    status: Status = "warn" if free >= _LEAST_BYTES else "fail"
    text += ". A slide with a million cells needs 1.3 GB, and a network its own memory."
    return Finding(check, "memory", status, text, _MORE_MEMORY, facts)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        # Another system, or "max": no limit.
        return None


def _speed(check: str, speed: DeviceSpeed, chosen: str) -> Finding:
    float32, bfloat16 = speed.gflops["float32"], speed.gflops["bfloat16"]
    ratio = max(float32, bfloat16) / min(float32, bfloat16)
    memory = f", {bytes_in_words(speed.memory_bytes)} of memory" if speed.memory_bytes else ""
    if speed.free_bytes is not None:
        memory += f" ({bytes_in_words(speed.free_bytes)} free)"
    text = (
        f"{speed.name}{memory}: a convolution runs at {float32:,.0f} GFLOP/s in float32 and {bfloat16:,.0f} in "
        f"bfloat16; {speed.fastest} is {ratio:.1f} times faster, and runs use {chosen}."
    )
    facts = {
        "hardware": speed.name,
        "memory_bytes": speed.memory_bytes,
        "free_bytes": speed.free_bytes,
        **{f"gflops_{precision}": round(value, 1) for precision, value in speed.gflops.items()},
        "fastest": speed.fastest,
        "chosen": chosen,
    }
    if chosen != speed.fastest and ratio >= _WORTHWHILE:
        remedy = f"for more speed, add --set model.precision={speed.fastest}"
        if speed.fastest == "bfloat16":
            remedy += "   (the last digits of results differ)"
        return Finding(check, speed.kind, "warn", text, remedy, facts)
    return Finding(check, speed.kind, "ok", text, facts=facts)


def _without_gpu(check: str, version: str, cuda: str | None) -> Finding:
    """Say why there is no GPU: none is there, or torch does not see it."""
    facts = {"torch": version, "torch_cuda": cuda}
    if not _DRIVER.exists():
        return Finding(
            check, "gpu", "ok", f"No GPU of NVIDIA is here; torch {version} uses the processor.", facts=facts
        )
    if cuda is None:
        text = f"There is a GPU of NVIDIA, but torch {version} was built without CUDA."
        remedy = "pip install --force-reinstall torch torchvision   (see pytorch.org, Get started)"
        return Finding(check, "gpu", "warn", text, remedy, facts)
    text = f"There is a driver of NVIDIA, but torch {version} for CUDA {cuda} sees no GPU."
    return Finding(
        check, "gpu", "warn", text, "nvidia-smi   (a driver too old, or CUDA_VISIBLE_DEVICES hides it?)", facts
    )
