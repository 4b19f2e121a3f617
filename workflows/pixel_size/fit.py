"""Fit the small convolution: given the spot sizes of a picture, how probable is each pixel size."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from workflows.pixel_size.samples import Sample
from wsi_parse.tissue.pixel_size_estimate import CHANNELS, PADDING, REACH, REFERENCE_UM, channels
from wsi_parse.tissue.spot_sizes import DIAMETERS_PX, PER_OCTAVE

HIDDEN = 10
# Nuclei differ in size: the right answer is a range of this width, in octaves.
_SPREAD = 0.2
_NOISE, _BATCH, _RATE, _DECAY = 0.03, 256, 5e-3, 0.02
# Means of several samples of one group and nearly one scale, as a slide has several fields.
_POOLED_OF, _POOLED_PER_GROUP = (2, 6), 20

STEPS = len(DIAMETERS_PX) + 2 * PADDING - 2 * REACH
SIZES_LOG2 = np.log2(REFERENCE_UM / DIAMETERS_PX[0]) - (np.arange(STEPS) - PADDING + REACH) / PER_OCTAVE


class SizeNetwork(torch.nn.Module):  # type: ignore[misc]
    """One convolution along the sizes, and two of width 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv1d(CHANNELS, HIDDEN, 2 * REACH + 1, padding=PADDING)
        self.second = torch.nn.Conv1d(HIDDEN, HIDDEN, 1)
        self.last = torch.nn.Conv1d(HIDDEN, 1, 1, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Score each pixel size: (B, 7, 28) -> (B, STEPS)."""
        scores: torch.Tensor = self.last(torch.tanh(self.second(torch.tanh(self.first(inputs)))))
        return scores[:, 0]

    def weights(self) -> dict[str, list[object]]:
        """Return the weights as `wsi_parse/tissue/pixel_size_estimate.json` has them."""

        def values(tensor: torch.Tensor) -> list[object]:
            rounded: list[object] = np.round(tensor.detach().numpy().squeeze(), 4).tolist()
            return rounded

        return {
            "first": values(self.first.weight),
            "first_bias": values(self.first.bias),
            "second": values(self.second.weight),
            "second_bias": values(self.second.bias),
            "last": values(self.last.weight),
        }


def fit(samples: Sequence[Sample], seed: int, epochs: int) -> SizeNetwork:
    """Fit a network; every set weighs as the square root of its number of samples."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    used = [*samples, *pooled(samples, seed)]
    counts = {name: sum(sample.set_name == name for sample in used) for name in {one.set_name for one in used}}
    weight = torch.tensor([counts[sample.set_name] ** -0.5 for sample in used], dtype=torch.float32)
    inputs = torch.tensor(inputs_of(used), dtype=torch.float32)
    right = np.log2([sample.mpp for sample in used])[:, None]
    target = torch.tensor(np.exp(-0.5 * ((SIZES_LOG2 - right) / _SPREAD) ** 2), dtype=torch.float32)
    target /= target.sum(dim=1, keepdim=True)
    network = SizeNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for index in torch.randperm(len(inputs)).split(_BATCH):
            noisy = inputs[index] + _NOISE * torch.randn_like(inputs[index])
            loss = -(target[index] * torch.log_softmax(network(noisy), dim=1)).sum(dim=1)
            optimizer.zero_grad()
            ((loss * weight[index]).sum() / weight[index].sum()).backward()
            optimizer.step()
        schedule.step()
    return network


def inputs_of(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return what the network sees: float array (N, 7, 28)."""
    return np.array([channels(sample.shares) for sample in samples]).reshape(-1, CHANNELS, len(DIAMETERS_PX))


def errors(network: SizeNetwork, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return by how many octaves each estimate is too large."""
    with torch.no_grad():
        odds = torch.softmax(network(torch.tensor(inputs_of(samples), dtype=torch.float32)), dim=1).numpy()
    return np.asarray(odds @ SIZES_LOG2 - np.log2([sample.mpp for sample in samples]))


def pooled(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Average samples of one group and nearly one scale."""
    rng = np.random.default_rng(seed)
    alike = defaultdict(list)
    for sample in samples:
        # Elsewhere a group is one field: fields of the set are averaged.
        group = sample.group if sample.set_name in ("nuinsseg", "tnbc") else sample.set_name
        alike[group, round(4 * np.log2(sample.mpp))].append(sample)
    found = []
    for members in alike.values():
        for _ in range(min(_POOLED_PER_GROUP, len(members)) if len(members) > 1 else 0):
            size = min(len(members), int(rng.integers(*_POOLED_OF)))
            chosen = [members[index] for index in rng.choice(len(members), size, replace=False).tolist()]
            mpp = float(np.exp2(np.mean([np.log2(one.mpp) for one in chosen])))
            shares = np.mean([one.shares for one in chosen], axis=0)
            found.append(Sample(chosen[0].set_name, chosen[0].group, mpp, shares))
    return found
