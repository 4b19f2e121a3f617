"""Caution: "neoplastic" is made less likely until normal tissue is called so as seldom as was asked for."""

from collections.abc import Sequence

import numpy as np
import torch

from workflows.train_mini.crops import READ_MPP
from workflows.train_mini.measure import predict, segmented, votes_of
from workflows.train_mini.tiles import Tile
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import MiniNetwork

_NEOPLASTIC = CLASSES.index("neoplastic")
_STEPS = np.arange(0, 2.01, 0.1)


def be_cautious(network: MiniNetwork, normal: Sequence[Tile], most: float) -> float:
    """Lower the log-odds of "neoplastic" by as little as keeps its share of normal nuclei within `most`.

    Parameters
    ----------
    network : MiniNetwork
        In evaluation mode; its last bias is changed in place.
    normal : sequence of Tile
        Of normal tissue, whose classes were not learnt from.
    most : float
        Share of nuclei.

    Returns
    -------
    float
        By how much.
    """
    votes = []
    for tile in normal:
        channels = predict(network, tile.at(READ_MPP).image)
        nuclei = segmented(channels)
        votes.append([votes_of(nuclei, lowered(channels, step)).argmax(axis=1) == _NEOPLASTIC for step in _STEPS])
    shares = [float(np.concatenate([of_tile[number] for of_tile in votes]).mean()) for number in range(len(_STEPS))]
    chosen = next((step for step, share in zip(_STEPS, shares, strict=True) if share <= most), _STEPS[-1])
    with torch.no_grad():
        network.look.bias[_NEOPLASTIC] -= float(chosen)
    return float(chosen)


def lowered(channels: dict[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    """Class channels as they would be with the log-odds of "neoplastic" lower by `step`."""
    classes = np.stack([channels[name] for name in CLASSES]).astype(np.float32)
    classes[_NEOPLASTIC] *= np.exp(-np.float32(step))
    classes *= 255 / np.maximum(classes.sum(axis=0), 1)
    return {name: np.rint(values).astype(np.uint8) for name, values in zip(CLASSES, classes, strict=True)}
