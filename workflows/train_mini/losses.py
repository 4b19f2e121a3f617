"""The parts of the loss; each is used only where its truth is known."""

import torch
from torch import Tensor
from torch.nn import functional

from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import DOUBTFUL, UNKNOWN
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import Outputs


class TensorBatch:
    """A :class:`~workflows.train_mini.crops.Batch` on the device."""

    def __init__(self, batch: tuple, device: torch.device) -> None:  # type: ignore[type-arg]
        self.images, self.nucleus, self.distance, self.classes, self.apart = (
            torch.from_numpy(part).to(device, non_blocking=True) for part in batch
        )
        self.images = self.images.to(memory_format=torch.channels_last)


def losses(outputs: Outputs, batch: TensorBatch, weights: Tensor, settings: TrainingSettings) -> dict[str, Tensor]:
    """Return each part of the loss, weighted.

    Parameters
    ----------
    outputs : Outputs
    batch : TensorBatch
    weights : float tensor (5,)
        Weight of each class.
    settings : TrainingSettings
    """
    nucleus = outputs.nucleus.float()
    probability = torch.sigmoid(nucleus)
    both = (probability * batch.nucleus).sum(dim=(1, 2))
    either = (probability + batch.nucleus).sum(dim=(1, 2))
    off = (torch.sigmoid(outputs.distance.float()) - batch.distance).abs().mean(dim=(1, 2))
    return {
        "nucleus": functional.binary_cross_entropy_with_logits(nucleus, batch.nucleus),
        "dice": settings.dice * (1 - (2 * both + 50) / (either + 50)).mean(),
        # Sets that merge touching nuclei have no known distances.
        "distance": settings.distance * (off * batch.apart).sum() / batch.apart.sum().clamp(min=1),
        "classes": settings.classes * _of_classes(outputs.classes.float(), batch.classes, weights, settings),
    }


def _of_classes(classes: Tensor, truth: Tensor, weights: Tensor, settings: TrainingSettings) -> Tensor:
    """Weighted cross-entropy of known classes; a DOUBTFUL nucleus only teaches not to be sure of neoplastic."""
    known = truth != UNKNOWN
    targets = targets_of(settings).to(classes.device)[truth[known]] * weights
    log_probabilities = functional.log_softmax(classes, dim=1).movedim(1, -1)[known]
    return -(targets * log_probabilities).sum() / targets.sum().clamp(min=1e-6)


def targets_of(settings: TrainingSettings) -> Tensor:
    """Return the target probabilities (6, 5) of the classes for each known class, and for DOUBTFUL."""
    targets = torch.eye(DOUBTFUL + 1, len(CLASSES))
    targets[DOUBTFUL, CLASSES.index("neoplastic")] = settings.doubt
    targets[DOUBTFUL, CLASSES.index("epithelial")] = 1 - settings.doubt
    return targets * (1 - settings.label_smoothing) + settings.label_smoothing / len(CLASSES)
