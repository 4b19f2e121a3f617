"""The networks on a device, for `benchmarks.gpu`: right first, then how fast; needs torch, transformers and timm only.

Each figure of speed stands beside its floor: the operations that PyTorch counts, at the rate of a matrix product of the
same precision in the same run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_rows import Row
from benchmarks.gpu_weights import PROMPTS, full_or_tiny, sizes_of, tokens_in, tokens_known, weights_file
from benchmarks.timing import matrix_rate, median_seconds, operations_of
from wsi_parse.models.biomedparse.load import load
from wsi_parse.models.biomedparse.network import BiomedParse
from wsi_parse.models.device import compute_in, device_name
from wsi_parse.models.mini.facts import EMBEDDED
from wsi_parse.models.mini.network import fuse
from wsi_parse.models.mini.postprocess import channels_of, relative_density
from wsi_parse.models.mini.weights import load_network
from wsi_parse.models.weights import Weights

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Most that probabilities may differ: in float32 the order of sums alone; in bfloat16 what a test allows on the CPU.
_OFF = {"float32": 2e-3, "bfloat16": 0.02}
# Of the channels of mini in float32, in levels of 255, against the CPU.
_LEVELS_OFF = 1
_STAIN: Any = SimpleNamespace(white=(0.05, 0.05, 0.05), strength=0.45)
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Bench:
    """Where and how large is measured.

    Parameters
    ----------
    device : torch.device
    tiny : bool
        Sizes for a test on a processor.
    reference : Path or None
        Copies of the files of the numeric reference.
    folder : Path
        For weights.
    """

    device: torch.device
    tiny: bool
    reference: Path | None
    folder: Path

    @property
    def is_gpu(self) -> bool:
        """Whether the device has memory of its own."""
        return bool(self.device.type == "cuda")

    @property
    def side(self) -> int:
        """Side of a tile in pixels."""
        return 64 if self.tiny else 1024

    @property
    def batches(self) -> tuple[int, ...]:
        """Tiles of a call."""
        return (1, 2) if self.tiny else (1, 2, 4, 8, 16, 32)

    @property
    def rounds(self) -> int:
        """Rounds of which the median counts."""
        return 1 if self.tiny else 5

    def tiles(self, batch: int) -> Tensor:
        """Return tiles (B, side, side, 3), uint8, of random colours: never zeros, on which devices are faster."""
        generator = torch.Generator().manual_seed(batch)
        shape = (batch, self.side, self.side, 3)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(self.device)

    def timed(self, row: Row, work: Callable[[], object], batch: int, operations: float, rate: float) -> Row:
        """Time some work on a batch; an error of memory is a row, too."""
        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            seconds = median_seconds(work, self.device, self.rounds)
        except torch.OutOfMemoryError:
            return replace(row, note="more than the device's memory")
        peak = torch.cuda.max_memory_allocated(self.device) / 1e9 if self.is_gpu else None
        floor = operations * batch / rate
        return replace(row, value=batch / seconds, unit="tiles/s", times_floor=seconds / floor, peak_gb=peak)


def network_rows(bench: Bench) -> Iterator[Row]:
    """Measure everything; the rows that matter most come first."""
    rates = {}
    for precision, dtype in _PRECISIONS.items():
        # Without TensorFloat-32, as float32 is computed in a run.
        rates[precision] = matrix_rate(bench.device, dtype, 128 if bench.tiny else 8192)
        yield Row("network", f"matrix product, {precision}", rates[precision] / 1e12, "TFLOP/s")
    with torch.inference_mode():
        if bench.reference is None:
            yield Row("network", "BiomedParse, tiny, against the reference", note="not compared: give --reference")
        else:
            yield from _golden_rows(bench, bench.reference)
        yield from _mini_rows(bench, rates)
        with tokens_known():
            yield from _biomedparse_rows(bench, rates)
        yield from _copy_rows(bench)


def _golden_rows(bench: Bench, reference: Path) -> Iterator[Row]:
    """Compare the tiny network with the published network's answers in float32, and with the CPU's in bfloat16."""
    path = weights_file(bench.folder / "golden.safetensors", sizes_of(reference / "keys_tiny.json"), reference)
    network, on_cpu = (load(Weights.of_file(path), device) for device in (bench.device, torch.device("cpu")))
    for file in sorted(reference.glob("golden_tiny*.npz")):
        with np.load(file, allow_pickle=False) as archive:
            golden = {name: archive[name] for name in ("image", "prompts", "input_ids", "attention_mask")}
            expected, queries = torch.from_numpy(archive["mask_logits"]), archive["query_index"].tolist()
        pixels = torch.from_numpy(golden["image"]).movedim(2, 0)[None].float()
        texts, what = [str(text) for text in golden["prompts"]], f"BiomedParse, {file.stem.removeprefix('golden_')}"
        with tokens_known(tokens_in(golden)):
            # The reference ran several prompts in one call, where they see one another.
            found = _answer(network, pixels.to(bench.device), texts, "float32", joint=len(texts) > 1)
            yield _compared(f"{what}, float32 against the reference", found, (queries, torch.sigmoid(expected)))
            found = _answer(network, pixels.to(bench.device), texts, "bfloat16")
            known = _answer(on_cpu, pixels, texts, "float32")
            yield _compared(f"{what}, bfloat16 against float32 on the CPU", found, known)


_Answer = tuple[list[int], Tensor]


def _answer(network: BiomedParse, pixels: Tensor, texts: list[str], precision: str, *, joint: bool = False) -> _Answer:
    """Return the queries (N) of one image, and the probabilities (N, H / 4, W / 4), on the CPU."""
    text = network.encode_text(texts)
    with compute_in(precision, pixels.device, None):
        found = network.segment(network.encode_image(pixels), text.concatenated if joint else text)
    return found.choice.query[0].tolist(), torch.sigmoid(found.mask_logits[0].float()).cpu()


def _compared(what: str, found: _Answer, expected: _Answer) -> Row:
    off, limit = float((found[1] - expected[1]).abs().max()), _OFF["bfloat16" if "bfloat16" in what else "float32"]
    note = f"farthest probability, limit {limit:g}"
    if found[0] != expected[0]:
        note += f"; queries {found[0]}, not {expected[0]}"
    return Row("network", what, off, holds=off <= limit and found[0] == expected[0], note=note)


def _mini_rows(bench: Bench, rates: dict[str, float]) -> Iterator[Row]:
    network: Any = fuse(load_network(EMBEDDED)).requires_grad_(False)
    tile = bench.tiles(1)
    expected = channels_of(network, tile.cpu(), _STAIN)
    network.to(bench.device)
    operations = operations_of(lambda: channels_of(network, tile, _STAIN))
    batch = bench.batches[-1]
    density = relative_density(bench.tiles(batch), _STAIN)
    for precision, rate in rates.items():
        with compute_in(precision, bench.device, None):
            found = channels_of(network, tile, _STAIN)
            off = max(int((found[name].cpu().int() - values.int()).abs().max()) for name, values in expected.items())
            # What bfloat16 may change is for the accuracy on slides to say.
            holds = off <= _LEVELS_OFF if precision == "float32" else None
            yield Row("network", f"mini, {precision}: farthest of 255 levels from the CPU in float32", off, holds=holds)
            for tiles in bench.batches:
                row = Row("network", f"mini, {precision}, batch {tiles}")
                yield bench.timed(
                    row, partial(channels_of, network, bench.tiles(tiles), _STAIN), tiles, operations, rate
                )
            what = f"mini without its first and last steps, {precision}, batch {batch}"
            yield from _other_ways(bench, what, partial(network, density), batch, operations, rate)


def _biomedparse_rows(bench: Bench, rates: dict[str, float]) -> Iterator[Row]:
    name = "BiomedParse, tiny" if bench.tiny else "BiomedParse"
    path = bench.folder / "biomedparse.safetensors"
    weights = Weights.of_file(weights_file(path, full_or_tiny(tiny=bench.tiny), _recipe_of(bench)))
    network: Any = load(weights, bench.device)
    for precision in ("bfloat16", "float32"):
        for prompts in (1, len(PROMPTS)):
            text = network.encode_text(PROMPTS[:prompts])
            with compute_in(precision, bench.device, None):
                one = bench.tiles(1).movedim(3, 1).float()
                operations = operations_of(partial(network, one, text))
                for batch in bench.batches:
                    pixels = bench.tiles(batch).movedim(3, 1).float()
                    row = Row("network", f"{name}, {precision}, {prompts} prompts, batch {batch}")
                    row = bench.timed(row, partial(network, pixels, text), batch, operations, rates[precision])
                    yield row
                    if row.value is None:
                        break
    batch = min(8, bench.batches[-1])
    text, pixels = network.encode_text(PROMPTS[:1]), bench.tiles(batch).movedim(3, 1).float()
    with compute_in("bfloat16", bench.device, None):
        what = f"{name}, bfloat16, 1 prompts, batch {batch}"
        operations = operations_of(partial(network, pixels, text)) / batch
        yield from _other_ways(bench, what, partial(network, pixels, text), batch, operations, rates["bfloat16"])


def _recipe_of(bench: Bench) -> Path | None:
    return None if bench.tiny else bench.reference


def _other_ways(
    bench: Bench, what: str, work: Callable[[], Any], batch: int, operations: float, rate: float
) -> Iterator[Row]:
    """Time the same work as a CUDA graph, then compiled, which takes longest to prepare."""
    ways: dict[str, Callable[[Callable[[], Any]], Callable[[], Any]]] = {"CUDA graph": _as_graph}
    # What a compiler of kernels needs is not on every machine of a test; tracing is the part that is ours.
    ways["torch.compile"] = partial(torch.compile, backend="inductor" if bench.is_gpu else "eager", dynamic=False)
    for way, made in ways.items():
        row = Row("network", f"{what}, {way}")
        if way == "CUDA graph" and not bench.is_gpu:
            yield replace(row, note="needs a GPU")
            continue
        try:
            yield bench.timed(row, made(work), batch, operations, rate)
        except Exception as error:  # noqa: BLE001 - whatever a compiler raises is a finding
            yield replace(row, note=f"not possible: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")


def _as_graph(work: Callable[[], Any]) -> Callable[[], Any]:
    """Capture what work launches, to launch it again at once."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_CALLS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], Any] = graph.replay
    return replay


def _copy_rows(bench: Bench) -> Iterator[Row]:
    """Time copies of tiles to the device, from memory as it comes and from memory that is pinned."""
    batch = bench.batches[-1]
    tiles = bench.tiles(batch).cpu()
    if not bench.is_gpu:
        yield Row("network", "copies to the device", note=f"none on {device_name(bench.device)}")
        return
    for name, source in (("from plain memory", tiles), ("from pinned memory", tiles.pin_memory())):
        seconds = median_seconds(partial(source.to, bench.device, non_blocking=True), bench.device, bench.rounds)
        yield Row("network", f"copies to the device, batch {batch}, {name}", tiles.nbytes / seconds / 1e9, "GB/s")
