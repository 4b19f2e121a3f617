"""The training loop: steps, averaged weights, checkpoints."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from workflows.train_mini.crops import Crops, Source
from workflows.train_mini.losses import TensorBatch, losses
from workflows.train_mini.settings import TrainingSettings
from wsi_parse.files import atomic, write_text
from wsi_parse.models.device import choose_device, choose_precision
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import MiniNetwork
from wsi_parse.models.mini.weights import load_network

_LOG_EVERY = 20


def train(
    sources: list[Source], settings: TrainingSettings, out: Path, start: Path | None = None, stop: int | None = None
) -> MiniNetwork | None:
    """Train, or resume the training in `out`; return the averaged network, or None if it stopped early.

    Parameters
    ----------
    sources : list of Source
    settings : TrainingSettings
    out : Path
        Folder for `checkpoint.pt` and `curve.jsonl`.
    start : Path or None
        Initial weights, for fine-tuning.
    stop : int or None
        Step to stop at.
    """
    device = choose_device("auto")
    torch.manual_seed(settings.seed)
    network = MiniNetwork(settings.widths) if start is None else load_network(start)
    network = network.to(device, memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=_moving(settings.ema), use_buffers=True)
    optimiser = torch.optim.AdamW(_groups(network, settings.weight_decay), lr=settings.learning_rate)
    state = _Progress(out / "checkpoint.pt", {"network": network, "average": average, "optimiser": optimiser})
    step = state.load()
    _drop_log_after(out / "curve.jsonl", step)
    weights = class_weights(sources, settings.class_balance).to(device)
    half = torch.autocast(device.type, torch.bfloat16, enabled=choose_precision("auto", device) == "bfloat16")
    crops, parts_since_log, since = Crops(sources, settings), [], time.perf_counter()
    network.train()
    last = min(settings.steps, stop or settings.steps)
    for batch in crops.batches(step, last):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        # Dropout depends on the step only, so that a resumed training continues unchanged.
        torch.manual_seed((settings.seed << 32) + step)
        ready = TensorBatch(batch, device)
        with half:
            outputs = network(ready.images)
        parts = losses(outputs, ready, weights, settings)
        optimiser.zero_grad()
        sum(parts.values(), torch.zeros((), device=device)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(network)
        step += 1
        parts_since_log.append({name: value.detach() for name, value in parts.items()})
        if step % _LOG_EVERY == 0 or step == last:
            _log(out / "curve.jsonl", step, parts_since_log, (time.perf_counter() - since) / len(parts_since_log))
            parts_since_log, since = [], time.perf_counter()
        if step % settings.save_every == 0 or step == last:
            state.save(step)
    if step < settings.steps:
        return None
    averaged: MiniNetwork = average.module
    if start is not None and settings.start_share:
        _mix(averaged, load_network(start).to(device), settings.start_share)
    averaged.eval()
    return averaged


def _mix(network: MiniNetwork, other: MiniNetwork, share: float) -> None:
    """Average all weights and statistics with those of another network, in place."""
    with torch.no_grad():
        for own, others in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(others, share)


def schedule(step: int, settings: TrainingSettings) -> float:
    """Return the factor of the learning rate: a linear warm-up, then half a cosine."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.5 + 0.5 * math.cos(math.pi * done) + 1e-3


def class_weights(sources: list[Source], balance: float) -> Tensor:
    """Return the frequency of each class in crops to the power of -`balance`, normalised to mean 1."""
    frequency = np.zeros(len(CLASSES))
    for source in sources:
        frequency += (
            np.bincount(source.classes.ravel(), minlength=256)[: len(CLASSES)] / source.classes.size * source.share
        )
    weights = (frequency + 1e-3 * frequency.sum() + 1e-9) ** -balance
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def _moving(decay: float) -> Any:  # noqa: ANN401 - what AveragedModel takes
    """Return an exponential moving average that starts as a plain mean."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), 1 - keep)
            else:
                old.copy_(new)

    return update


def _groups(network: MiniNetwork, decay: float) -> list[dict[str, Any]]:
    """Return parameter groups with weight decay for kernels only."""
    parameters = list(network.parameters())
    return [
        {"params": [part for part in parameters if part.ndim > 1], "weight_decay": decay},
        {"params": [part for part in parameters if part.ndim <= 1], "weight_decay": 0.0},
    ]


class _Progress:
    """The checkpoint of an interrupted training."""

    def __init__(self, path: Path, parts: dict[str, Any]) -> None:
        self.path, self.parts = path, parts

    def load(self) -> int:
        """Load the checkpoint and return its step; 0 if there is none."""
        if not self.path.exists():
            return 0
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def save(self, step: int) -> None:
        """Write the checkpoint atomically."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        with atomic(self.path) as temporary:
            torch.save({"step": step, **states}, temporary)


def _drop_log_after(path: Path, step: int) -> None:
    """Remove log lines after the step from which a training resumes."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        write_text(path, "".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step))


def _log(path: Path, step: int, steps: list[dict[str, Tensor]], seconds: float) -> None:
    mean = {name: round(float(torch.stack([part[name] for part in steps]).mean()), 5) for name in steps[0]}
    line = {"step": step, "loss": round(sum(mean.values()), 5), **mean, "seconds_per_step": round(seconds, 3)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
