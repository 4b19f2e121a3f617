"""Nuclei from points: a network's mask is divided among the labelled points, and only what they reach is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from workflows.train_mini.tiles import INSTANCES, MASK, NOTHING, UNKNOWN, Tile
from wsi_parse.models.mini.facts import READ_MPP

Channels = dict[str, NDArray[np.uint8]]
# A pixel is background where the network says at most this, and may be a nucleus above; of 255.
_BACKGROUND, _NUCLEUS = 64, 128
# A nucleus reaches at most this far from its point, and covers at least a disc of this radius.
_REACH_UM, _DISC_UM = 10.0, 2.0
# Around a nucleus that the network does not see at all, nothing is known.
_UNSURE_UM = 5.0


def with_nuclei(tile: Tile, predict: Callable[[NDArray[np.uint8]], Channels]) -> Tile:
    """Derive the nuclei of a tile whose truth is points.

    What the network marks as a nucleus belongs to the point that its distance map leads to (a watershed); what no
    point reaches may be a nucleus that nobody labelled, so it is not known.

    Parameters
    ----------
    tile : Tile
        With `centres` and `centre_classes`, at the read scale.
    predict : callable
        Returns the channels of an image at the read scale.
    """
    assert tile.centres is not None
    assert tile.centre_classes is not None
    read = tile.at(READ_MPP)
    channels = predict(read.image)
    points = _marked(read)
    inside = channels["nucleus"] >= _NUCLEUS
    distance = channels["distance"].astype(np.float32)
    away, (row, column) = ndimage.distance_transform_edt(points == 0, return_indices=True)
    near = away * READ_MPP <= _REACH_UM
    nuclei = watershed(-ndimage.gaussian_filter(distance, 1.0), points, mask=(inside & near) | (points > 0))
    nuclei = np.asarray(nuclei, np.int32)
    unseen = np.bincount(nuclei.ravel(), minlength=len(tile.centres) + 1) * READ_MPP**2 < np.pi * _DISC_UM**2
    nearest = points[row, column]
    disc = unseen[nearest] & (away * READ_MPP <= _DISC_UM) & (nuclei == 0)
    nuclei[disc] = nearest[disc]
    known = np.full(nuclei.shape, NOTHING, np.uint8)
    known[channels["nucleus"] <= _BACKGROUND] = INSTANCES
    known[unseen[nearest] & (away * READ_MPP <= _UNSURE_UM)] = NOTHING
    known[nuclei > 0] = INSTANCES
    known[(nuclei > 0) & unseen[nuclei]] = MASK
    classes = np.concatenate([[UNKNOWN], tile.centre_classes]).astype(np.uint8)
    return replace(read, nuclei=nuclei, known=known, classes=classes)


def _marked(tile: Tile) -> NDArray[np.int32]:
    """Return the number of the point on its pixel, 0 elsewhere; of two on one pixel the first counts."""
    assert tile.centres is not None
    marked = np.zeros(tile.nuclei.shape, np.int32)
    column, row = np.clip(np.floor(tile.centres).astype(int), 0, np.array(marked.shape[::-1]) - 1).T
    marked[row[::-1], column[::-1]] = np.arange(len(tile.centres), 0, -1)
    return marked
