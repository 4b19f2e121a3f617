"""The same figures by other means: masks of pixels, scikit-image and scipy's assignment. Slow, and plain to read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from skimage.metrics import contingency_table

Masks = list[NDArray[np.bool_]]


def overlaps(truth: Masks, pred: Masks) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pixels in common and IoU of each two."""
    both = np.array([[int((one & other).sum()) for other in pred] for one in truth], np.int64)
    both = both.reshape(len(truth), len(pred))
    sizes = np.array([mask.sum() for mask in truth])[:, None] + np.array([mask.sum() for mask in pred])[None]
    return both, both / (sizes.reshape(both.shape) - both) if both.size else both.astype(float)


def of_labels(truth: NDArray[np.int64], pred: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels in common of each two labels, by scikit-image."""
    table = contingency_table(truth, pred).toarray()
    whole = np.zeros((truth.max() + 1, pred.max() + 1), np.int64)
    whole[: table.shape[0], : table.shape[1]] = np.rint(table)
    return whole[1:, 1:]


def matched(iou: NDArray[np.float64], least: float = 0.5) -> tuple[int, float]:
    """Most pairs above an IoU, one to one, and of these choices the largest sum of IoU."""
    if not iou.size:
        return 0, 0.0
    gain = np.where(iou > least, 1000.0 + iou, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    hits = iou[rows, columns] > least
    return int(hits.sum()), float(iou[rows, columns][hits].sum())


def scores(truth: Masks, pred: Masks) -> dict[str, Any]:
    """Dice, IoU, F1, PQ, SQ, AJI, word by word as defined."""
    both, iou = overlaps(truth, pred)
    hits, total = matched(iou)
    nothing = np.zeros((1, 1), bool)
    cover_truth, cover_pred = (np.any(masks, axis=0) if masks else nothing for masks in (truth, pred))
    common, joined = int((cover_truth & cover_pred).sum()), int((cover_truth | cover_pred).sum())
    sizes = int(cover_truth.sum()) + int(cover_pred.sum())
    missed, extra = len(truth) - hits, len(pred) - hits
    some = bool(len(truth) + len(pred))
    return {
        "matched": hits,
        "dice": 2 * common / sizes if sizes else 1.0,
        "iou": common / joined if joined else 1.0,
        "f1": hits / (hits + missed / 2 + extra / 2) if some else 1.0,
        "sq": total / hits if hits else None,
        "pq": total / (hits + missed / 2 + extra / 2) if some else 1.0,
        "aji": aji(truth, pred, both, iou) if some else 1.0,
    }


def aji(truth: Masks, pred: Masks, both: NDArray[np.int64], iou: NDArray[np.float64]) -> float:
    """Kumar et al. 2017, algorithm 1."""
    common, joined = 0, 0
    used = set()
    for number, mask in enumerate(truth):
        if len(pred) and both[number].any():
            best = int(np.argmax(iou[number]))
            common += both[number, best]
            joined += int((mask | pred[best]).sum())
            used.add(best)
        else:
            joined += int(mask.sum())
    joined += sum(int(mask.sum()) for number, mask in enumerate(pred) if number not in used)
    return common / joined
