"""What the network is told it did wrong; each part only where its truth is known."""

import torch
from torch import Tensor
from torch.nn import functional

from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import UNKNOWN
from wsi_parse.models.mini.network import Answer


class TensorBatch:
    """A :class:`~workflows.train_mini.crops.Batch` on the device."""

    def __init__(self, batch: tuple, device: torch.device) -> None:  # type: ignore[type-arg]
        self.images, self.nucleus, self.distance, self.classes, self.apart = (
            torch.from_numpy(part).to(device, non_blocking=True) for part in batch
        )
        self.images = self.images.to(memory_format=torch.channels_last)


def losses(answer: Answer, batch: TensorBatch, weights: Tensor, settings: TrainingSettings) -> dict[str, Tensor]:
    """Each part of the loss, weighted.

    Parameters
    ----------
    answer : Answer
    batch : TensorBatch
    weights : float tensor (5,)
        Of the classes.
    settings : TrainingSettings
    """
    nucleus = answer.nucleus.float()
    probability = torch.sigmoid(nucleus)
    both = (probability * batch.nucleus).sum(dim=(1, 2))
    either = (probability + batch.nucleus).sum(dim=(1, 2))
    off = (torch.sigmoid(answer.distance.float()) - batch.distance).abs().mean(dim=(1, 2))
    classes = answer.classes.float()
    parts = {
        "nucleus": functional.binary_cross_entropy_with_logits(nucleus, batch.nucleus),
        "dice": settings.dice * (1 - (2 * both + 50) / (either + 50)).mean(),
        # Sets whose nuclei are not apart say nothing of distances.
        "distance": settings.distance * (off * batch.apart).sum() / batch.apart.sum().clamp(min=1),
        "classes": settings.classes
        * functional.cross_entropy(
            classes, batch.classes, weights, ignore_index=UNKNOWN, label_smoothing=settings.label_smoothing
        ),
    }
    if not (batch.classes != UNKNOWN).any():
        parts["classes"] = classes.sum() * 0
    return parts
