"""The embedded model: seconds per tile, and for splitting its nuclei; `python -m benchmarks.mini [--json]`."""

import argparse
import hashlib
import json
from typing import Any

import numpy as np
import torch

from benchmarks import limits
from benchmarks.timing import least_seconds, matrix_rate, operations_of
from wsi_parse.geometry import Box, Frame
from wsi_parse.models.device import choose_device, choose_precision, compute_in, device_name
from wsi_parse.models.mini.facts import CLASSES, EMBEDDED
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.postprocess import channels_of
from wsi_parse.models.mini.stain_normalization import StainNormalization
from wsi_parse.models.mini.weights import load_network
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.split import label_cells
from wsi_parse.settings import ObjectSettings
from wsi_parse.synthetic import SyntheticSlide

SIDE = 1024
#: Seconds on two cores: float32, bfloat16, splitting a dense tile.
LIMITS = {"float32": 0.59, "bfloat16": 0.24, "splitting": 0.3}


def main() -> None:
    """Print a table; exit code 3 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mini", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line a precision, without limits")
    as_json = parser.parse_args().json
    device = choose_device("auto")
    network = fuse(load_network(EMBEDDED)).to(device)
    tile = SyntheticSlide(SIDE * 3, SIDE * 3, mpp=0.5, seed=17, tissue=1.0).pixels(Box(SIDE, SIDE, SIDE, SIDE))
    images = torch.from_numpy(tile[None]).to(device)
    if not as_json:
        print(f"{device_name(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    held = True
    precisions: dict[str, None] = dict.fromkeys(("float32", choose_precision("auto", device)))
    with torch.inference_mode():
        operations = operations_of(lambda: channels_of(network, images, StainNormalization()))
        for precision in precisions:
            with compute_in(precision, device, None):
                output = channels_of(network, images, StainNormalization())
                seconds = least_seconds(lambda: channels_of(network, images, StainNormalization()), device)
            if as_json:
                print(json.dumps(figure(precision, seconds, operations, output, device)))
                continue
            print(f"  {operations / 1e9:.0f} GFLOP at {operations / seconds / 1e9:.0f} GFLOP/s", end="; ")
            held &= within(f"one tile, {precision}", seconds, LIMITS[precision])
    if as_json:
        return
    channels = {name: values[0].cpu().numpy() for name, values in output.items()}
    held &= within("splitting and class votes", least_seconds(lambda: split(channels), device), LIMITS["splitting"])
    limits.end(kept=held)


def figure(
    precision: str, seconds: float, operations: float, output: dict[str, torch.Tensor], device: torch.device
) -> dict[str, Any]:
    """Return the seconds of a tile against its operations at the rate of a matrix product, and what came out."""
    rate = matrix_rate(device, getattr(torch, precision), 2048)
    digest = hashlib.sha256(b"".join(values.cpu().numpy().tobytes() for values in output.values())).hexdigest()
    return {
        "precision": precision,
        "seconds": seconds,
        "times_floor": seconds * rate / operations,
        "outputs_sha256": digest,
    }


def split(channels: dict[str, np.ndarray]) -> None:
    """Split the nuclei of a tile and count their class votes, as for a chunk."""
    box, nucleus = Box(0, 0, SIDE, SIDE), channels["nucleus"]
    parameters = ObjectParameters.of(ObjectSettings(), Frame(SIDE, SIDE, 0.5, 0.5, 1.0, 1.0))
    labels, seeds = label_cells(
        nucleus, nucleus >= parameters.threshold_255, channels["distance"], box, box, parameters.split
    )
    for name in CLASSES:
        np.bincount(labels.ravel(), channels[name].repeat(2, 0).repeat(2, 1).ravel(), len(seeds) + 1)


def within(name: str, seconds: float, limit: float) -> bool:
    """Print seconds with their limit."""
    print(f"{name}: {seconds:.2f} s (limit {limit:g} s)", flush=True)
    return seconds <= limit


if __name__ == "__main__":
    main()
