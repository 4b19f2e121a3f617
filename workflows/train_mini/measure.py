"""Performance of a network on held-out tiles: the object stage of a run on each tile, compared with its truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from workflows.train_mini.tiles import UNKNOWN, Tile
from wsi_parse.evaluate import match_centres
from wsi_parse.geometry import Box, Frame
from wsi_parse.models.mini.facts import CLASS_STRIDE, CLASSES, MIN_CLASS_PROBABILITY, READ_MPP
from wsi_parse.models.mini.network import DEEPEST_STRIDE, MiniNetwork
from wsi_parse.models.mini.postprocess import channels_of
from wsi_parse.models.mini.stain_normalization import StainNormalization
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.objects.split import label_cells
from wsi_parse.settings import ObjectSettings
from wsi_parse.tissue.samples import Sample

MATCH_UM = 6.0
#: Smaller objects are fragments of nuclei (a tenth of those in CoNSeP), in the truth and in predictions.
MIN_NUCLEUS_UM2 = 6.0
# A run reads this much beyond a tile's core (at the default overlap); a multiple of all strides.
_MARGIN_PX = 64


@dataclass
class Scores:
    """The result on one tile, as counts that can be summed.

    Parameters
    ----------
    tile : Tile
    overlap, found_px, known_px : int
        Pixels of the masks, before nuclei are split; including fragments.
    pairs : int array (matches, 2)
        Found and known nuclei within 6 µm, one to one.
    iou : float array
        Of pairs with an IoU above a half.
    found_class, known_class : int arrays
        Of each nucleus; UNKNOWN if the truth is unknown.
    confidence : float array
        Of each found nucleus.
    found_share : float array
        Share of the area of each found nucleus that lies in the true mask.
    """

    tile: Tile
    overlap: int
    found_px: int
    known_px: int
    pairs: NDArray[np.int64]
    iou: NDArray[np.float64]
    found_class: NDArray[np.int64]
    known_class: NDArray[np.int64]
    confidence: NDArray[np.float64]
    found_share: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def predict(network: MiniNetwork, image: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Predict the channels of one image at the read scale, as a run stores them: beyond its edges it is mirrored."""
    height, width = image.shape[:2]
    around = [(_MARGIN_PX, _MARGIN_PX + -side % DEEPEST_STRIDE) for side in (height, width)]
    padded = np.pad(image, (*around, (0, 0)), "reflect")
    device = next(network.parameters()).device
    stain_normalization = StainNormalization.of([Sample.whole(image)])
    with torch.inference_mode():
        channels = channels_of(network, torch.from_numpy(padded[None]).to(device), stain_normalization)
    inside = slice(_MARGIN_PX, _MARGIN_PX + height), slice(_MARGIN_PX, _MARGIN_PX + width)
    coarse = tuple(slice(part.start // CLASS_STRIDE, -(-part.stop // CLASS_STRIDE)) for part in inside)
    return {
        name: values[0].cpu().numpy()[inside if name in {"nucleus", "distance"} else coarse]
        for name, values in channels.items()
    }


def score(network: MiniNetwork, tile: Tile) -> Scores:
    """Segment a tile and compare it with its truth."""
    tile = tile.at(READ_MPP)
    channels = predict(network, tile.image)
    found = segmented(channels)
    votes = votes_of(found, channels)
    confidence = votes.max(axis=1) / np.maximum(votes.sum(axis=1), 1)
    known = without_fragments(tile.nuclei)
    known_class = np.full(known.max(), UNKNOWN, np.int64)
    if tile.classes is not None:
        first = np.unique(known, return_index=True)[1]
        first = first[known.ravel()[first] > 0]
        known_class = tile.classes[tile.nuclei.ravel()[first]].astype(np.int64)
    inside, truth = channels["nucleus"] >= 128, tile.nuclei > 0
    size = np.bincount(found.ravel())[1:]
    return Scores(
        tile,
        int((inside & truth).sum()),
        int(inside.sum()),
        int(truth.sum()),
        match_centres(centres_um(found), centres_um(known), MATCH_UM),
        _ious(found, known),
        votes.argmax(axis=1),
        known_class,
        confidence,
        np.bincount(found[truth], minlength=len(size) + 1)[1:] / np.maximum(size, 1),
    )


def segmented(channels: dict[str, NDArray[np.uint8]]) -> NDArray[np.int32]:
    """Return the nuclei of a tile with the parameters of a run, without fragments."""
    nucleus = channels["nucleus"]
    box = Box(0, 0, nucleus.shape[1], nucleus.shape[0])
    parameters = ObjectParameters.of(ObjectSettings(), Frame(box.width, box.height, READ_MPP, READ_MPP, 1.0, 1.0))
    labels, _ = label_cells(nucleus, nucleus >= 128, channels["distance"], box, box, parameters.split)
    return without_fragments(labels)


def votes_of(nuclei: NDArray[np.int32], channels: dict[str, NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Sum the class votes (nuclei, classes) of all pixels of each nucleus."""
    return np.stack([_sums(nuclei, _repeated(channels[name], nuclei.shape)) for name in CLASSES], axis=1)


def without_fragments(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the labels of nuclei of a tile at the read scale without fragments, numbered without gaps."""
    areas = np.bincount(labels.ravel()) * READ_MPP**2
    areas[0] = 0
    number = np.cumsum(areas >= MIN_NUCLEUS_UM2).astype(np.int32)
    number[areas < MIN_NUCLEUS_UM2] = 0
    return number[labels]


def _sums(labels: NDArray[np.int32], values: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.bincount(labels.ravel(), values.ravel(), labels.max() + 1)[1:].astype(np.float64)


def _repeated(values: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return values.repeat(CLASS_STRIDE, 0).repeat(CLASS_STRIDE, 1)[: shape[0], : shape[1]]


def centres_um(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the centres (N, 2) as (x, y) of the nuclei of a tile at the read scale, in microns."""
    if not labels.max():
        return np.empty((0, 2))
    centres = ndimage.center_of_mass(labels > 0, labels, np.arange(1, labels.max() + 1))
    return (np.array(centres)[:, ::-1] + 0.5) * READ_MPP


def _ious(found: NDArray[np.int32], known: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the IoU of all pairs above a half; each nucleus is in at most one (Kirillov et al., CVPR 2019)."""
    both = (found > 0) & (known > 0)
    pairs, overlap = np.unique(np.stack([found[both], known[both]]), axis=1, return_counts=True)
    either = np.bincount(found.ravel())[pairs[0]] + np.bincount(known.ravel())[pairs[1]] - overlap
    iou: NDArray[np.float64] = overlap / either
    return iou[iou > 0.5]


def figures(scores: Sequence[Scores]) -> dict[str, float]:
    """Compute the figures of a set from the counts of its tiles."""
    result: dict[str, float] = {
        "dice": 2 * sum(s.overlap for s in scores) / max(1, sum(s.found_px + s.known_px for s in scores))
    }
    if all(s.tile.apart for s in scores):
        found, known = sum(len(s.found_class) for s in scores), sum(len(s.known_class) for s in scores)
        result["f1"] = 2 * sum(len(s.pairs) for s in scores) / max(1, found + known)
        result["pq"] = 2 * sum(s.iou.sum() for s in scores) / max(1, found + known)
    result |= class_figures(scores)
    return result


def class_figures(scores: Sequence[Scores]) -> dict[str, float]:
    """Compute the F1 of each class, and the accuracy of nuclei that were found."""
    if all(s.tile.classes is None for s in scores):
        return {}
    result: dict[str, float] = {}
    right = sure = sure_right = paired = 0
    for index, name in enumerate(CLASSES):
        hits = found = known = 0
        for s in scores:
            of_found, of_known = s.found_class[s.pairs[:, 0]], s.known_class[s.pairs[:, 1]]
            hits += int(((of_found == index) & (of_known == index)).sum())
            # A match with a nucleus of unknown class does not count.
            doubtful = int(((of_found == index) & (of_known == UNKNOWN)).sum())
            found += int((s.found_class == index).sum()) - doubtful
            known += int((s.known_class == index).sum())
        if known:
            result[f"f1_{name}"] = 2 * hits / max(1, found + known)
            result[f"recall_{name}"] = hits / known
    for s in scores:
        of_found, of_known = s.found_class[s.pairs[:, 0]], s.known_class[s.pairs[:, 1]]
        judged = of_known != UNKNOWN
        certain = judged & (s.confidence[s.pairs[:, 0]] >= MIN_CLASS_PROBABILITY)
        right += int((of_found == of_known)[judged].sum())
        sure_right += int((of_found == of_known)[certain].sum())
        paired, sure = paired + int(judged.sum()), sure + int(certain.sum())
    result |= {
        "accuracy": right / max(1, paired),
        "accuracy_sure": sure_right / max(1, sure),
        "sure": sure / max(1, paired),
    }
    return result


def called(scores: Sequence[Scores], name: str) -> dict[str, float]:
    """Return the share of found, true nuclei that are called a class, in all and with a sure class."""
    index = CLASSES.index(name)
    real = [s.found_share > 0.5 for s in scores]
    total = max(1, sum(int(r.sum()) for r in real))
    as_it = sum(int(((s.found_class == index) & r).sum()) for s, r in zip(scores, real, strict=True))
    surely = sum(
        int(((s.found_class == index) & r & (s.confidence >= MIN_CLASS_PROBABILITY)).sum())
        for s, r in zip(scores, real, strict=True)
    )
    return {"nuclei": total, "called": as_it / total, "surely": surely / total}
