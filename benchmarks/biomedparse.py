"""BiomedParse at full size: seconds per tile against the rate of the processor, prompts, batches, memory.

Weights are random, because speed does not depend on their values. `python -m benchmarks.biomedparse [--json]`; a GPU is
used if there is one.
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import limits
from benchmarks.gpu_weights import random_tensors
from benchmarks.timing import least_seconds, matrix_rate
from wsi_parse.compute.memory import MemorySampler, total_bytes
from wsi_parse.models.biomedparse.convert import convert
from wsi_parse.models.biomedparse.load import load
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.biomedparse.network_sizes import RELEASED
from wsi_parse.models.biomedparse.targets import CELLS
from wsi_parse.models.biomedparse.tensor_names import published_shapes
from wsi_parse.models.device import choose_device, choose_precision, compute_in, device_name
from wsi_parse.models.weights import Weights

# Operations for one 1024 x 1024 tile and one prompt of the published network.
TILE_FLOP = 2.39e12
GPU_TILE_FLOP = 2.36e12
SIDE = 1024
LIMITS = {"float32": 1.35, "bfloat16": 0.5, "prompts": 1.15, "memory": 1.3}


def main() -> None:
    """Print a table and the ratios; exit code 3 if one misses its limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.biomedparse", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one tile in float32, without limits")
    as_json = parser.parse_args().json
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        network, memory = load_measured(random_weights(Path(folder)), device)
        if as_json:
            print(json.dumps(one_tile(network, device)))
            return
        print(f"{device_name(device)}, torch {torch.__version__}")
        held = within("memory of loading / parameters", memory, LIMITS["memory"])
        held &= on_gpu(network, device) if device.type == "cuda" else on_cpu(network, device)
    limits.end(kept=held)


def one_tile(network: BiomedParse, device: torch.device) -> dict[str, Any]:
    """Return the seconds of a tile against its operations at the rate of a matrix product, and what came out."""
    pixels = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).to(device) * 255
    text = network.encode_text(CELLS[:1])
    with compute_in("float32", device, None):
        levels = (network(pixels, text) * 255).round_().to(torch.uint8).cpu().numpy()
        seconds = least_seconds(lambda: network(pixels, text), device, 1)
    floor = TILE_FLOP / matrix_rate(device, torch.float32, 4096)
    digest = hashlib.sha256(levels.tobytes()).hexdigest()
    return {"seconds": seconds, "times_floor": seconds / floor, "outputs_sha256": digest}


def random_weights(folder: Path) -> Weights:
    """Make a full-size checkpoint, converted like the published one."""
    make = random_tensors()
    torch.save({name: make(name, shape) for name, shape in published_shapes(RELEASED).items()}, folder / "random.pt")
    convert(folder / "random.pt", folder / "random.safetensors", RELEASED)
    (folder / "random.pt").unlink()
    return Weights.of_file(folder / "random.safetensors")


def load_measured(weights: Weights, device: torch.device) -> tuple[BiomedParse, float]:
    """Load and touch every parameter; return the peak memory, relative to the size of all parameters."""
    before = total_bytes(psutil.Process())
    with MemorySampler(0.02) as sampler:
        network = load(weights, device)
        for parameter in network.parameters():
            parameter.sum()
        touched = total_bytes(psutil.Process())
    needed = sum(parameter.numel() * 4 for parameter in network.parameters())
    return network, (max(touched, sampler.peak_bytes) - before) / needed


def within(name: str, value: float, limit: float) -> bool:
    """Print a ratio with its limit."""
    print(f"{name}: {value:.2f} (limit {limit:g})", flush=True)
    return value <= limit


def tile_seconds(network: BiomedParse, device: torch.device, prompts: int, batch: int, precision: str) -> float:
    """Return the seconds of one tile in a batch, computed as in a run."""
    pixels = torch.rand(batch, 3, SIDE, SIDE, device=device) * 255
    text = network.encode_text(CELLS[:prompts])

    def work() -> None:
        with compute_in(precision, device, None):
            network(pixels, text)

    return least_seconds(work, device) / batch


def on_cpu(network: BiomedParse, device: torch.device) -> bool:
    """Compare one tile with the rate of a float32 matrix product in the same run."""
    rate = max(matrix_rate(device, torch.float32, side) for side in (2048, 4096))
    one = tile_seconds(network, device, 1, 1, "float32")
    four = tile_seconds(network, device, 4, 1, "float32")
    rate = max(rate, *(matrix_rate(device, torch.float32, side) for side in (2048, 4096)))
    floor = TILE_FLOP / rate
    print(f"float32 matrix products: {rate / 1e9:.0f} GFLOP/s; 2.39 TFLOP at that rate: {floor:.1f} s")
    # Separate from the timing, because sampling the memory of a large process stops it for a moment.
    with MemorySampler(0.1) as sampler:
        network(torch.rand(1, 3, SIDE, SIDE) * 255, network.encode_text(CELLS))
    print(f"one tile: {one:.1f} s with 1 prompt, {four:.1f} s with 4; peak memory {sampler.peak_bytes / 1e9:.2f} GB")
    held = within("one tile / its operations at that rate", one / floor, LIMITS["float32"])
    held &= within("4 prompts / 1 prompt", four / one, LIMITS["prompts"])
    if choose_precision("auto", device) == "bfloat16":
        half = tile_seconds(network, device, 1, 1, "bfloat16")
        held &= within("bfloat16 / float32", half / one, LIMITS["bfloat16"])
    else:
        print("bfloat16: this processor does not support it")
    return held


def on_gpu(network: BiomedParse, device: torch.device) -> bool:
    """Print tiles per second by precision, batch and number of prompts, with the bound by the device's rate."""
    rate = matrix_rate(device, torch.bfloat16, 8192)
    floor = GPU_TILE_FLOP / rate
    print(f"bfloat16 matrix products: {rate / 1e12:.0f} TFLOP/s; floor {floor * 1e3:.1f} ms, {1 / floor:.0f} tiles/s")
    for precision in ("float32", "bfloat16"):
        for batch in (1, 4, 8, 16):
            for prompts in (1, 4):
                what = f"{precision:<9} batch {batch:>2}, {prompts} prompts"
                torch.cuda.reset_peak_memory_stats(device)
                try:
                    took = tile_seconds(network, device, prompts, batch, precision)
                except torch.OutOfMemoryError:
                    print(f"{what}: more than the device's memory")
                    continue
                peak = torch.cuda.max_memory_allocated(device) / 1e9
                print(f"{what}: {1 / took:6.1f} tiles/s, {took / floor:4.1f} x floor, {peak:5.1f} GB", flush=True)
    one, four = (tile_seconds(network, device, prompts, 8, "bfloat16") for prompts in (1, 4))
    return within("4 prompts / 1 prompt, bfloat16, batch 8", four / one, LIMITS["prompts"])


if __name__ == "__main__":
    main()
