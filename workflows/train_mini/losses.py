"""The parts of the loss; each is used only where its truth is known."""

import torch
from torch import Tensor
from torch.nn import functional

from workflows.train_mini.settings import TrainingSettings
from workflows.train_mini.tiles import EITHER, NOT_NEOPLASTIC, UNKNOWN
from wsi_parse.models.mini.facts import CLASSES
from wsi_parse.models.mini.network import Outputs


class TensorBatch:
    """A :class:`~workflows.train_mini.crops.Batch` on the device."""

    def __init__(self, batch: tuple, device: torch.device) -> None:  # type: ignore[type-arg]
        self.images, self.nucleus, self.distance, self.classes, self.known, self.distance_known = (
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
    nucleus, known = outputs.nucleus.float(), batch.known
    probability = torch.sigmoid(nucleus) * known
    both = (probability * batch.nucleus).sum(dim=(1, 2))
    either = (probability + batch.nucleus * known).sum(dim=(1, 2))
    off = (torch.sigmoid(outputs.distance.float()) - batch.distance).abs() * batch.distance_known
    return {
        "nucleus": functional.binary_cross_entropy_with_logits(nucleus, batch.nucleus, known, reduction="sum")
        / known.sum().clamp(min=1),
        "dice": settings.dice * (1 - (2 * both + 50) / (either + 50)).mean(),
        "distance": settings.distance * off.sum() / batch.distance_known.sum().clamp(min=1),
        "classes": settings.classes * _of_classes(outputs.classes.float(), batch.classes, weights, settings),
    }


def _of_classes(classes: Tensor, truth: Tensor, weights: Tensor, settings: TrainingSettings) -> Tensor:
    """Cross-entropy with the classes that a label allows, as a mean over all labelled pixels."""
    labelled = truth != UNKNOWN
    truth, logits = truth[labelled], classes.movedim(1, -1)[labelled]
    log_probabilities = functional.log_softmax(logits, dim=1)
    weight = label_weights(weights, settings)[truth]
    allowed = torch.logsumexp(log_probabilities + _log_allowed().to(classes.device)[truth], dim=1)
    # Smoothing spreads a little of the target over all classes; it means nothing where several are allowed.
    spread = torch.where(truth < len(CLASSES), settings.label_smoothing, 0.0)
    each = (1 - spread) * -allowed - spread * log_probabilities.mean(dim=1)
    return (weight * each).sum() / weight.sum().clamp(min=1e-6)


def _log_allowed() -> Tensor:
    """Return 0 where a label (7) allows a class (5), and minus infinity elsewhere."""
    allowed = torch.eye(NOT_NEOPLASTIC + 1, len(CLASSES))
    allowed[EITHER, [CLASSES.index("neoplastic"), CLASSES.index("epithelial")]] = 1
    allowed[NOT_NEOPLASTIC] = 1
    allowed[NOT_NEOPLASTIC, CLASSES.index("neoplastic")] = 0
    return allowed.log()


def label_weights(weights: Tensor, settings: TrainingSettings) -> Tensor:
    """Return the weight of each label: of the five classes, of EITHER, and of NOT_NEOPLASTIC."""
    either = weights[[CLASSES.index("neoplastic"), CLASSES.index("epithelial")]].mean()
    return torch.cat([weights, torch.stack([either, either * settings.not_neoplastic])])
