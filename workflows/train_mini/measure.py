"""Performance of a network on held-out tiles: the nuclei that were found in each tile, compared with its truth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from workflows.train_mini.tiles import NOTHING, UNKNOWN, Tile
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


@dataclass(frozen=True)
class Found:
    """The nuclei that were found in a tile, without fragments.

    Parameters
    ----------
    labels : int32 array (H, W)
        Number of the nucleus (from 1) at the read scale, 0 elsewhere.
    mask : bool array (H, W)
        Pixels in a nucleus, including fragments.
    centres_um : float array (N, 2)
        As (x, y) from the corner of the tile.
    classes : int array (N,)
    confidence : float array (N,)
        Mean probability of the class over the pixels of the nucleus.
    sure : bool array (N,)
    """

    labels: NDArray[np.int32]
    mask: NDArray[np.bool_]
    centres_um: NDArray[np.float64]
    classes: NDArray[np.int64]
    confidence: NDArray[np.float64]
    sure: NDArray[np.bool_]

    def where(self, kept: NDArray[np.bool_]) -> "Found":
        """Return some of the nuclei, numbered anew; the mask stays."""
        number = np.zeros(len(kept) + 1, np.int32)
        number[1:][kept] = np.arange(1, kept.sum() + 1)
        centres, classes = self.centres_um[kept], self.classes[kept]
        return Found(number[self.labels], self.mask, centres, classes, self.confidence[kept], self.sure[kept])


def with_lines(found: Found, lines: Mapping[str, float | None]) -> Found:
    """Return the nuclei, sure from the line of their class on; never, if its line is None."""
    line_of = np.array([np.inf if (line := lines.get(name)) is None else line for name in CLASSES])
    return replace(found, sure=found.confidence >= line_of[found.classes])


#: Finds the nuclei of a tile.
Finder = Callable[[Tile], Found]


@dataclass
class Scores:
    """The result on one tile, as counts that can be summed.

    Parameters
    ----------
    tile : Tile
    overlap, found_px, known_px : int
        Pixels of the masks; including fragments.
    pairs : int array (matches, 2)
        Found and known nuclei within 6 µm, one to one.
    iou : float array
        Of pairs with an IoU above a half.
    found_class, known_class : int arrays
        Of each nucleus; a known one may be EITHER, NOT_NEOPLASTIC or UNKNOWN.
    confidence : float array
        Of each found nucleus.
    sure : bool array
        Of each found nucleus.
    found_share : float array
        Share of the area of each found nucleus that lies in the true mask.
    found : Found
        Everything that was found, also where it is not known whether there is a nucleus.
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
    sure: NDArray[np.bool_]
    found: Found
    found_share: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def outlined(self) -> bool:
        """Whether outlines are the truth, and not points or a part of the nuclei."""
        return self.tile.centres is None and self.tile.known is None

    @property
    def counted(self) -> bool:
        """Whether every nucleus is labelled, apart from its neighbours."""
        return self.tile.centres is not None or (self.outlined and self.tile.apart)

    def paired_classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the found and the known class of each pair."""
        return self.found_class[self.pairs[:, 0]], self.known_class[self.pairs[:, 1]]


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


def found_by(network: MiniNetwork, tile: Tile) -> Found:
    """Find the nuclei of a tile with the object stage of a run, without a run: for a quick look during training."""
    channels = predict(network, tile.at(READ_MPP).image)
    labels = segmented(channels)
    votes = votes_of(labels, channels)
    confidence = votes.max(axis=1) / np.maximum(votes.sum(axis=1), 1)
    return Found(
        labels,
        channels["nucleus"] >= 128,
        centres_um(labels),
        votes.argmax(axis=1),
        confidence,
        confidence >= MIN_CLASS_PROBABILITY,
    )


def score(network: MiniNetwork, tile: Tile) -> Scores:
    """Segment a tile and compare it with its truth; see :func:`found_by`."""
    return compared(tile, found_by(network, tile))


def compared(tile: Tile, found: Found) -> Scores:
    """Compare what was found in a tile with its truth: its points, or else its outlines.

    Found nuclei do not count where it is not known whether there is a nucleus, unless they match a labelled one.
    """
    tile = tile.at(READ_MPP)
    everything = found
    known, centres, classes = _truth(tile)
    if tile.centres is None and tile.known is not None:
        counts = _known_at(tile, found.centres_um)
        counts[match_centres(found.centres_um, centres, MATCH_UM)[:, 0]] = True
        found = found.where(counts)
    truth = tile.nuclei > 0
    size = np.bincount(found.labels.ravel(), minlength=len(found.classes) + 1)[1:]
    return Scores(
        tile,
        int((found.mask & truth).sum()),
        int(found.mask.sum()),
        int(truth.sum()),
        match_centres(found.centres_um, centres, MATCH_UM),
        _ious(found.labels, known),
        found.classes,
        classes,
        found.confidence,
        found.sure,
        everything,
        np.bincount(found.labels[truth], minlength=len(size) + 1)[1:] / np.maximum(size, 1),
    )


def _truth(tile: Tile) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Return the outlines of a tile at the read scale, the centres in microns, and the classes."""
    known = without_fragments(tile.nuclei)
    if tile.centres is not None and tile.centre_classes is not None:
        return known, tile.centres * READ_MPP, tile.centre_classes.astype(np.int64)
    classes = np.full(known.max(), UNKNOWN, np.int64)
    if tile.classes is not None:
        first = np.unique(known, return_index=True)[1]
        first = first[known.ravel()[first] > 0]
        classes = tile.classes[tile.nuclei.ravel()[first]].astype(np.int64)
    return known, centres_um(known), classes


def _known_at(tile: Tile, points_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    height, width = tile.nuclei.shape
    columns, rows = np.clip((points_um / READ_MPP).astype(int), 0, (width - 1, height - 1)).T
    known: NDArray[np.bool_] = (tile.known_pixels() != NOTHING)[rows, columns]
    return known


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
