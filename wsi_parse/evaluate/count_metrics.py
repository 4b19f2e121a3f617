"""Figures of each class and of all objects, counted from two object sets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.evaluate.areas import Pieces, common_areas
from wsi_parse.evaluate.assignment import assign
from wsi_parse.evaluate.centres import match_centres
from wsi_parse.evaluate.figures import Areas, Figures
from wsi_parse.evaluate.object_sets import ObjectSet
from wsi_parse.evaluate.pairs import Pairs, overlapping_itself
from wsi_parse.evaluate.review import only_in

# Of two equally good choices the one of the same class wins; this is less than any meaningful difference of IoU.
_SAME_CLASS = 1e-6
# Above this IoU an object counts as a copy of another one.
_SAME_OUTLINE = 0.99


@dataclass(frozen=True)
class ComparedSets:
    """Two object sets and how their objects overlap.

    Parameters
    ----------
    truth, pred : ObjectSet
    pairs : Pairs
        All overlaps; `one` indexes the truth, `other` the prediction.
    region : shapely geometry or None
        The region that is evaluated.
    scale_um : (float, float) or None
        Microns per pixel (x, y).
    """

    truth: ObjectSet
    pred: ObjectSet
    pairs: Pairs
    region: Any
    scale_um: tuple[float, float] | None

    def iou(self, pairs: Pairs) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        areas = shapely.area(self.truth.shapes)[pairs.one] + shapely.area(self.pred.shapes)[pairs.other]
        return np.asarray(pairs.area / (areas - pairs.area))

    def counted(self) -> Pairs:
        """Return the pairs whose objects both count."""
        return self.pairs.where(self.truth.counted[self.pairs.one] & self.pred.counted[self.pairs.other])

    def same_class(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Return which pairs have the same class."""
        return np.asarray(self.truth.names[pairs.one] == self.pred.names[pairs.other], bool)

    def matched(self, least: float, pairs: Pairs) -> Pairs:
        """Match objects one to one whose IoU is above `least`."""
        iou = self.iou(pairs)
        near = iou > least
        pairs = pairs.where(near)
        gain = iou[near] + _SAME_CLASS * self.same_class(pairs)
        chosen = np.zeros(len(pairs), bool)
        chosen[assign(pairs.one, pairs.other, gain)] = True
        return pairs.where(chosen)


def lost_ids(compared: ComparedSets) -> list[str]:
    """Warn of deleted objects that came back unchanged under another id or without one; empty if there are none."""
    deleted, added = only_in(compared.pred, compared.truth), only_in(compared.truth, compared.pred)
    pairs = compared.pairs.where(added[compared.pairs.one] & deleted[compared.pairs.other])
    copies = len(compared.matched(_SAME_OUTLINE, pairs))
    if not copies:
        return []
    return [
        f"{copies:,} of the added objects have the outline of a deleted one (IoU above {_SAME_OUTLINE:g}). "
        "Check whether their ids were lost."
    ]


def count_metrics(
    compared: ComparedSets, matched: Pairs, min_iou: float, radius_px: tuple[float, float] | None
) -> tuple[dict[str, Figures], Figures]:
    """Count everything, for each class and for all objects regardless of class.

    Parameters
    ----------
    compared : ComparedSets
    matched : Pairs
        Objects matched regardless of class.
    min_iou : float
    radius_px : (float, float) or None
        The largest distance of centroids in x and in y; None leaves them out.

    Returns
    -------
    dict of str to Figures
        For each class, by name: objects match those of the same class only.
    Figures
        For all objects, regardless of class.
    """
    names = sorted({*compared.truth.names.tolist(), *compared.pred.names.tolist()})
    code = {name: number for number, name in enumerate(names)}
    sets = compared.truth, compared.pred
    coded = [np.array([code[name] for name in one.names.tolist()], np.int64) for one in sets]
    pairs, wide = compared.counted(), compared.pairs
    same = pairs.where(compared.same_class(pairs))
    (truth, truth_of_all), (pred, pred_of_all) = (_covered(one, compared.region) for one in sets)
    by_class = _Counts(compared, coded, len(names), radius_px)
    of_class = by_class.figures(
        same, compared.matched(min_iou, same), truth, pred, wide.where(compared.same_class(wide))
    )
    as_one = _Counts(compared, [np.zeros(len(one), np.int64) for one in sets], 1, radius_px)
    (of_all,) = as_one.figures(pairs, matched, truth_of_all, pred_of_all, wide)
    kept = {
        name: figures
        for name, figures in zip(names, of_class, strict=True)
        if figures.truth or figures.pred or figures.px2.truth or figures.px2.pred
    }
    return kept, of_all


def _covered(object_set: ObjectSet, region: Any) -> tuple[Pieces, Pieces]:  # noqa: ANN401 - a shapely geometry
    """Return the objects without overlaps within their class, and without any overlaps."""
    overlaps = overlapping_itself(object_set.shapes)
    alike = np.asarray(object_set.names[overlaps.one] == object_set.names[overlaps.other], bool)
    pieces = Pieces(object_set.shapes)
    if region is not None:
        pieces = pieces.clipped(region)
    of_class = pieces.without_overlaps(overlaps.where(alike))
    return of_class, of_class if alike.all() else pieces.without_overlaps(overlaps)


class _Counts:
    def __init__(
        self, compared: ComparedSets, codes: list[NDArray[np.int64]], count: int, radius_px: tuple[float, float] | None
    ) -> None:
        self._compared, self._count, self._radius_px = compared, count, radius_px
        self._truth, self._pred = codes

    def figures(self, pairs: Pairs, matched: Pairs, truth: Pieces, pred: Pieces, wide: Pairs) -> list[Figures]:
        """Count: `pairs` are candidates, `matched` are matched, and the pieces of `wide` have areas in common."""
        compared = self._compared
        iou_sum = self._sum(self._truth[matched.one], compared.iou(matched))
        near = [None] * self._count if self._radius_px is None else self._near(self._radius_px)
        common, joined = self._aji(pairs, matched)
        sums = zip(
            self._sum(self._truth, truth.area),
            self._sum(self._pred, pred.area),
            self._sum(self._truth[wide.one], common_areas(truth, pred, wide)),
            common,
            joined,
            strict=True,
        )
        areas = [Areas(*(float(value) for value in values)) for values in sums]
        factor = None if compared.scale_um is None else compared.scale_um[0] * compared.scale_um[1]
        counts = (
            np.bincount(which, minlength=self._count).tolist()
            for which in (
                self._truth[compared.truth.counted],
                self._pred[compared.pred.counted],
                self._truth[matched.one],
            )
        )
        return [
            Figures(known, found, hits, total, near_by, area, None if factor is None else area.times(factor))
            for known, found, hits, total, near_by, area in zip(*counts, iou_sum.tolist(), near, areas, strict=True)
        ]

    def _sum(self, codes: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(codes, values, self._count), np.float64)

    def _near(self, radius_px: tuple[float, float]) -> list[int]:
        """Count matched centroids, in units of the radius."""
        truth, pred = self._compared.truth, self._compared.pred
        (known, of_known), (found, of_found) = (
            (shapely.get_coordinates(shapely.centroid(one.shapes[one.counted])) / radius_px, codes[one.counted])
            for one, codes in ((truth, self._truth), (pred, self._pred))
        )
        return [
            len(match_centres(found[of_found == number], known[of_known == number], 1.0))
            for number in range(self._count)
        ]

    def _aji(self, pairs: Pairs, matched: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        compared, width = self._compared, len(self._pred)
        # Of equally good partners take the matched one, so that each of two copies has its own.
        other_than_matched = ~np.isin(pairs.one * width + pairs.other, matched.one * width + matched.other)
        iou = compared.iou(pairs).round(12)
        area_truth = np.where(compared.truth.counted, shapely.area(compared.truth.shapes), 0)
        area_pred = np.where(compared.pred.counted, shapely.area(compared.pred.shapes), 0)
        order = np.lexsort((pairs.other, other_than_matched, -iou, pairs.one))
        best = order[np.diff(pairs.one[order], prepend=-1) != 0]
        one, other, area = pairs.one[best], pairs.other[best], pairs.area[best]
        alone_truth, unused = area_truth.copy(), area_pred.copy()
        alone_truth[one] = unused[other] = 0
        joined = self._sum(self._truth[one], area_truth[one] + area_pred[other] - area)
        joined += self._sum(self._truth, alone_truth) + self._sum(self._pred, unused)
        return self._sum(self._truth[one], area), joined
