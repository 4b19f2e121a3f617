"""The figures of a class, kept as sums so that several slides can be added, and the scores computed from them.

A score is 1 if there is nothing to find and nothing was found; it is None in other cases of 0 / 0.
"""

from dataclasses import dataclass
from typing import Any

from wsi_parse.evaluate.scores import f1_score


@dataclass(frozen=True)
class Areas:
    """Sums of areas, in one unit.

    Parameters
    ----------
    truth, pred : float
        Covered by the objects of a set, overlaps counted once.
    both : float
        Covered by both sets.
    aji_common, aji_joined : float
        Numerator and denominator of the aggregated Jaccard index.
    """

    truth: float = 0.0
    pred: float = 0.0
    both: float = 0.0
    aji_common: float = 0.0
    aji_joined: float = 0.0

    def __add__(self, other: "Areas") -> "Areas":
        return Areas(
            self.truth + other.truth,
            self.pred + other.pred,
            self.both + other.both,
            self.aji_common + other.aji_common,
            self.aji_joined + other.aji_joined,
        )

    def times(self, factor: float) -> "Areas":
        """Return the same areas in another unit."""
        return Areas(
            self.truth * factor,
            self.pred * factor,
            self.both * factor,
            self.aji_common * factor,
            self.aji_joined * factor,
        )


@dataclass(frozen=True)
class Figures:
    """How well objects of a class agree.

    Parameters
    ----------
    truth, pred : int
        Objects.
    matched : int
        Matched pairs, whose IoU is above the limit.
    iou_sum : float
        Sum of the IoU of these pairs.
    near : int or None
        Matched pairs whose centroids are near; None if the pixel size is not known.
    px2 : Areas
    um2 : Areas or None
        None if the pixel size is not known.

    Notes
    -----
    - Dice = 2 both / (truth + pred) (Dice, Ecology 26 (1945) 297) and IoU = both / (truth + pred - both) (Jaccard, New
      Phytologist 11 (1912) 37), of the areas that the class covers.
    - PQ = SQ RQ with RQ = F1 of the matched objects and SQ = their mean IoU (Kirillov et al., Panoptic Segmentation,
      CVPR 2019).
    - AJI: each true object with the predicted one of largest IoU, intersections over unions summed, predicted
      objects never chosen added to the unions (Kumar et al., IEEE Trans Med Imaging 36 (2017) 1550).
    - Errors of count and area are of the prediction, relative to the truth: 0.1 is a tenth too much.

    >>> Figures(truth=5, pred=4, matched=3, iou_sum=2.4).pq
    0.5333333333333333
    """

    truth: int = 0
    pred: int = 0
    matched: int = 0
    iou_sum: float = 0.0
    near: int | None = 0
    px2: Areas = Areas()
    um2: Areas | None = Areas()

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.truth + other.truth,
            self.pred + other.pred,
            self.matched + other.matched,
            self.iou_sum + other.iou_sum,
            None if self.near is None or other.near is None else self.near + other.near,
            self.px2 + other.px2,
            None if self.um2 is None or other.um2 is None else self.um2 + other.um2,
        )

    @property
    def areas(self) -> Areas:
        """Areas in µm² if the pixel size is known, else in px²."""
        return self.px2 if self.um2 is None else self.um2

    @property
    def dice(self) -> float:
        """Dice of the areas."""
        return _share(2 * self.areas.both, self.areas.truth + self.areas.pred)

    @property
    def iou(self) -> float:
        """IoU of the areas."""
        return _share(self.areas.both, self.areas.truth + self.areas.pred - self.areas.both)

    @property
    def f1(self) -> float:
        """F1 of the objects matched by IoU; also called RQ."""
        return f1_score(self.matched, self.pred, self.truth)

    @property
    def sq(self) -> float | None:
        """Mean IoU of the matched objects."""
        return self.iou_sum / self.matched if self.matched else None

    @property
    def pq(self) -> float:
        """Panoptic quality."""
        return _share(2 * self.iou_sum, self.truth + self.pred)

    @property
    def aji(self) -> float:
        """Aggregated Jaccard index."""
        return _share(self.areas.aji_common, self.areas.aji_joined)

    def to_dict(self) -> dict[str, Any]:
        """Return sums and scores for JSON; areas are in µm² if the pixel size is known, else in px²."""
        areas, unit = self.areas, "px2" if self.um2 is None else "um2"
        near = self.near
        return {
            "truth": self.truth,
            "pred": self.pred,
            "count_error": _error(self.pred, self.truth),
            f"truth_area_{unit}": areas.truth,
            f"pred_area_{unit}": areas.pred,
            f"common_area_{unit}": areas.both,
            "area_error": _error(areas.pred, areas.truth),
            "dice": self.dice,
            "iou": self.iou,
            "matched": self.matched,
            "precision": _part(self.matched, self.pred),
            "recall": _part(self.matched, self.truth),
            "f1": self.f1,
            "sq": self.sq,
            "rq": self.f1,
            "pq": self.pq,
            "aji": self.aji,
            "centre_matched": near,
            "centre_precision": None if near is None else _part(near, self.pred),
            "centre_recall": None if near is None else _part(near, self.truth),
            "centre_f1": None if near is None else f1_score(near, self.pred, self.truth),
        }


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 1.0


def _part(matched: int, count: int) -> float | None:
    return matched / count if count else None


def _error(found: float, known: float) -> float | None:
    return (found - known) / known if known else None
