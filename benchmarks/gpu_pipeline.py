"""Whole runs on a painted slide, for `benchmarks.gpu`: tiles a second, and the share of time that the device is busy.

The slide is painted at known places; of BiomedParse, whose weights are made up, only the time counts: the network
computes, and the answer is the slide's own paint, so that objects are as many and as large as on a real slide.
"""

import functools
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_network import Bench
from benchmarks.gpu_rows import Row
from benchmarks.gpu_weights import PROMPTS, full_or_tiny, tokens_known, weights_file
from benchmarks.scale_slide import NUCLEUS, TISSUE, ScaleSlide, write
from wsi_parse.models.biomedparse.segmenter import BiomedParseModel
from wsi_parse.models.mini.segmenter import MiniModel
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.run.pipeline import run_slide
from wsi_parse.settings import RunSettings

_EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """One run.

    Parameters
    ----------
    model : str
    prompts : tuple of str
    side : int
        Of the painted slide, in pixels of 0.25 µm.
    field_um : float or None
        What a tile covers; None: as the model was trained.
    """

    model: str
    prompts: tuple[str, ...]
    side: int
    field_um: float | None = None


CASES = (Case("mini", ("nuclei",), 24_000), Case("biomedparse", PROMPTS[:1], 6_000))
TINY_CASES = (Case("mini", ("nuclei",), 3_000), Case("biomedparse", PROMPTS[:1], 3_000, 480.0))


@dataclass
class Busy:
    """When a model computed, in seconds of `time.perf_counter`, and how busy the driver says the device was."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def window(self) -> tuple[float, float]:
        """From the first call of the model to the end of the last."""
        return min(start for start, _ in self.spans), max(end for _, end in self.spans)

    @property
    def share_in_model(self) -> float:
        """Share of the window in which at least one thread was in the model."""
        covered, reached = 0.0, 0.0
        for start, end in sorted(self.spans):
            covered += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        first, last = self.window
        return covered / (last - first)

    @property
    def share_of_device(self) -> float | None:
        """Mean use of the device in the window; None where the driver does not tell."""
        first, last = self.window
        inside = [used for when, used in self.samples if first <= when <= last]
        return sum(inside) / len(inside) / 100 if inside else None


def pipeline_rows(bench: Bench) -> Iterator[Row]:
    """Run each case once."""
    for case in TINY_CASES if bench.tiny else CASES:
        slide = bench.folder / f"painted-{case.side}.svs"
        if not slide.exists():
            write(ScaleSlide(case.side), slide)
        with tokens_known():
            yield from _rows_of(case, slide, bench)


def _rows_of(case: Case, slide: Path, bench: Bench) -> Iterator[Row]:
    model: dict[str, Any] = {"name": case.model, "device": str(bench.device), "field_um": case.field_um}
    if case.model == "biomedparse":
        reference = None if bench.tiny else bench.reference
        path = bench.folder / "biomedparse.safetensors"
        model["weights"] = weights_file(path, full_or_tiny(tiny=bench.tiny), reference)
    settings = RunSettings.load(
        prompts=case.prompts,
        model=model,
        export={"formats": ("geojson",), "overlay_px": 0, "report": False},
        compute={"workers": 0, "threads": os.cpu_count()},
    )
    out = bench.folder / f"out-{case.model}"
    shutil.rmtree(out, ignore_errors=True)
    if bench.is_gpu:
        torch.cuda.reset_peak_memory_stats(bench.device)
    busy = Busy()
    kind = BiomedParseModel if case.model == "biomedparse" else MiniModel
    started = time.perf_counter()
    with watched(kind, busy, painted=kind is BiomedParseModel), sampled(bench, busy):
        manifest = run_slide(slide, out, settings)
    whole = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(bench.device) / 1e9 if bench.is_gpu else None
    tiles, objects = sum(one["tiles"] for one in manifest.passes), sum(manifest.counts.values())
    first, last = busy.window
    digest = hashlib.sha256((out / "annotations.geojson").read_bytes()).hexdigest()[:12]
    what = f"{case.model}, {case.side:,} px, {tiles} tiles"
    note = f"{objects:,} objects, annotations.geojson {digest}"
    yield Row("pipeline", f"{what}: while tiles are predicted", tiles / (last - first), "tiles/s", peak_gb=peak)
    yield Row("pipeline", f"{what}: the whole run", whole, "s", note=note, holds=objects > 0)
    yield Row("pipeline", f"{what}: share of the time in the model", busy.share_in_model)
    used = busy.share_of_device
    yield Row("pipeline", f"{what}: device busy", used, note="" if used is not None else "the driver does not tell")


@contextmanager
def watched(kind: type[Any], busy: Busy, *, painted: bool) -> Iterator[None]:
    """Note when a model computes; `painted`: it answers what is painted."""
    original = kind.predict

    @functools.wraps(original)
    def predict(self: Any, images: NDArray[np.uint8], scale_pass: ScalePass, state: Any) -> Mapping[str, Any]:  # noqa: ANN401
        start = time.perf_counter()
        found: Mapping[str, Any] = original(self, images, scale_pass, state)
        busy.spans.append((start, time.perf_counter()))
        return paint_of(images, scale_pass) if painted else found

    kind.predict = predict
    try:
        yield
    finally:
        kind.predict = original


def paint_of(images: NDArray[np.uint8], scale_pass: ScalePass) -> dict[str, NDArray[np.uint8]]:
    """Return how much of a pixel is nucleus, by its colour, for each channel."""
    difference = NUCLEUS - TISSUE
    weights = (difference / (difference @ difference)).astype(np.float32)
    share = (images.astype(np.float32) @ weights - np.float32(TISSUE @ weights)).clip(0, 1)
    levels = (share * 255).round().astype(np.uint8)
    return {channel.name: levels[:, :: channel.stride, :: channel.stride] for channel in scale_pass.channels}


@contextmanager
def sampled(bench: Bench, busy: Busy) -> Iterator[None]:
    """Ask the driver twenty times a second how busy the device is, where there is one that tells."""
    stop = threading.Event()

    def ask() -> None:
        # Without the package of the driver's numbers, or on a machine that refuses them, there are none.
        with suppress(ModuleNotFoundError, RuntimeError):
            while not stop.wait(_EVERY_SECONDS):
                busy.samples.append((time.perf_counter(), int(torch.cuda.utilization(bench.device))))

    asking = threading.Thread(target=ask, daemon=True)
    if bench.is_gpu:
        asking.start()
    try:
        yield
    finally:
        stop.set()
        if bench.is_gpu:
            asking.join()
