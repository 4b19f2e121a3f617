"""The figures of a set, from the counts of its tiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workflows.train_mini.measure import Scores
from workflows.train_mini.tiles import EITHER, NOT_NEOPLASTIC, UNKNOWN
from wsi_parse.models.mini.facts import CLASSES, READ_MPP

_NEOPLASTIC, _EPITHELIAL = CLASSES.index("neoplastic"), CLASSES.index("epithelial")


def is_right(found: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each found class is right: EITHER is right for neoplastic and for epithelial."""
    either = (known == EITHER) & np.isin(found, (_NEOPLASTIC, _EPITHELIAL))
    right: NDArray[np.bool_] = (found == known) | either
    return right


def is_judged(found: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the truth says if a found class is right: NOT_NEOPLASTIC says so of neoplastic only."""
    judged: NDArray[np.bool_] = (known != UNKNOWN) & ((known != NOT_NEOPLASTIC) | (found == _NEOPLASTIC))
    return judged


def figures(scores: Sequence[Scores]) -> dict[str, float]:
    """Compute the figures of a set from the counts of its tiles; those that its truth does not tell are left out."""
    result: dict[str, float] = {}
    found, known = sum(len(s.found_class) for s in scores), sum(len(s.known_class) for s in scores)
    paired = sum(len(s.pairs) for s in scores)
    if all(s.outlined for s in scores):
        result["dice"] = 2 * sum(s.overlap for s in scores) / max(1, sum(s.found_px + s.known_px for s in scores))
    if all(s.counted for s in scores):
        result["f1"] = 2 * paired / max(1, found + known)
        result["precision"] = paired / max(1, found)
        result["recall"] = paired / max(1, known)
    if all(s.counted and s.outlined for s in scores):
        result["pq"] = 2 * sum(s.iou.sum() for s in scores) / max(1, found + known)
    return result | class_figures(scores)


def told_apart(scores: Sequence[Scores]) -> dict[str, tuple[int, ...]]:
    """Return the classes that the truth of a set tells apart: the name, and what counts as it."""
    if not any((s.known_class == EITHER).any() for s in scores):
        return {name: (index,) for index, name in enumerate(CLASSES)}
    others = {name: (index,) for index, name in enumerate(CLASSES) if index not in {_NEOPLASTIC, _EPITHELIAL}}
    return {"neoplastic_or_epithelial": (_NEOPLASTIC, _EPITHELIAL), **others}


def class_figures(scores: Sequence[Scores]) -> dict[str, float]:
    """Compute the F1 of each class, and the accuracy of nuclei that were found."""
    if not any((s.known_class <= EITHER).any() for s in scores):
        return {}
    result: dict[str, float] = {}
    for name, members in told_apart(scores).items():
        hits = found = known = 0
        truths = (*members, EITHER) if len(members) > 1 else members
        for s in scores:
            of_found, of_known = s.paired_classes()
            as_it = np.isin(of_found, members)
            hits += int((as_it & np.isin(of_known, truths)).sum())
            # A match with a nucleus of which the truth does not tell whether it is of this class does not count.
            doubtful = int((as_it & ~is_judged(of_found, of_known)).sum())
            found += int(np.isin(s.found_class, members).sum()) - doubtful
            known += int(np.isin(s.known_class, truths).sum())
        if known:
            if all(s.counted for s in scores):
                result[f"f1_{name}"] = 2 * hits / max(1, found + known)
            result[f"recall_{name}"] = hits / known
    return result | _accuracy(scores) | _mistaken(scores)


def _accuracy(scores: Sequence[Scores]) -> dict[str, float]:
    if any((s.known_class == NOT_NEOPLASTIC).any() for s in scores):
        # Of these nuclei only those that are called neoplastic are judged.
        return {}
    right = sure = sure_right = paired = 0
    for s in scores:
        of_found, of_known = s.paired_classes()
        judged = is_judged(of_found, of_known)
        certain = judged & s.sure[s.pairs[:, 0]]
        hit = is_right(of_found, of_known)
        right, sure_right = right + int(hit[judged].sum()), sure_right + int(hit[certain].sum())
        paired, sure = paired + int(judged.sum()), sure + int(certain.sum())
    return {
        "accuracy": right / max(1, paired),
        "accuracy_sure": sure_right / max(1, sure),
        "sure": sure / max(1, paired),
    }


def _mistaken(scores: Sequence[Scores]) -> dict[str, float]:
    """Return the shares, of nuclei found, of the worst mistakes: healthy is neoplastic, or tumour inflammatory."""
    tumour = (_NEOPLASTIC, EITHER)
    result: dict[str, float] = {}
    for name, truths, wrong in (
        ("epithelial_called_neoplastic", (_EPITHELIAL,), _NEOPLASTIC),
        ("not_tumour_called_neoplastic", (NOT_NEOPLASTIC,), _NEOPLASTIC),
        ("tumour_called_inflammatory", tumour, CLASSES.index("inflammatory")),
    ):
        of_truth = [np.isin(s.paired_classes()[1], truths) for s in scores]
        as_wrong = [of & (s.paired_classes()[0] == wrong) for s, of in zip(scores, of_truth, strict=True)]
        surely = [called & s.sure[s.pairs[:, 0]] for s, called in zip(scores, as_wrong, strict=True)]
        total, called_wrong, sure = (sum(int(part.sum()) for part in parts) for parts in (of_truth, as_wrong, surely))
        if total:
            result |= {name: called_wrong / total, f"{name}_surely": sure / total}
    return result


def called(scores: Sequence[Scores], name: str) -> dict[str, float]:
    """Return the share of found, true nuclei that are called a class, in all and with a sure class."""
    index = CLASSES.index(name)
    real = [s.found_share > 0.5 for s in scores]
    as_it = [(s.found_class == index) & r for s, r in zip(scores, real, strict=True)]
    total = max(1, sum(int(r.sum()) for r in real))
    return {
        "nuclei": total,
        "called": sum(int(part.sum()) for part in as_it) / total,
        "surely": sum(int((part & s.sure).sum()) for s, part in zip(scores, as_it, strict=True)) / total,
    }


def density_ratio(scores: Sequence[Scores]) -> dict[str, float]:
    """Return the neoplastic nuclei per mm² inside and outside of the tumour, and their ratio.

    Of tiles whose truth is the region of the tumour. The rest of a tile counts as outside, whatever it is.
    """
    inside = outside = inside_mm2 = outside_mm2 = 0.0
    for s in scores:
        if (tumour := s.tile.tumour) is None:
            continue
        at = s.found.centres_um[s.found.classes == _NEOPLASTIC] / READ_MPP
        columns, rows = np.clip(at.astype(int), 0, np.array(tumour.shape[::-1]) - 1).T
        within = int(tumour[rows, columns].sum())
        inside, outside = inside + within, outside + len(at) - within
        inside_mm2 += float(tumour.sum()) * READ_MPP**2 / 1e6
        outside_mm2 += float((~tumour).sum()) * READ_MPP**2 / 1e6
    densities = inside / max(inside_mm2, 1e-9), outside / max(outside_mm2, 1e-9)
    return {
        "neoplastic_per_mm2_inside": densities[0],
        "neoplastic_per_mm2_outside": densities[1],
        "inside_to_outside": densities[0] / max(densities[1], 1e-9),
    }
