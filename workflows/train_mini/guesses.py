"""Classes that are guessed from size, shape and organ, for training only: they never count as truth."""

from dataclasses import replace

import numpy as np
from skimage.measure import regionprops

from workflows.train_mini.settings import SetSettings
from workflows.train_mini.tiles import INSTANCES, MASK, NOT_NEOPLASTIC, UNKNOWN, Tile
from wsi_parse.models.mini.facts import CLASSES

#: Organs whose large round nuclei are nearly all epithelial, and organs whose small round ones are inflammatory.
GLANDS = frozenset(
    {
        "colon (rectum)", "jejunum", "kidney", "liver", "oesophagus", "pancreas", "salivary gland", "stomach, cardia",
        "stomach, pylorus", "urinary bladder",
    }
)  # fmt: skip
LYMPHOID = frozenset({"palatine tonsil", "spleen", "thymus"})
#: Share of its convex hull that a single nucleus fills at least.
_CONVEX = 0.9
# Of a round nucleus, and of a long one: the major axis over the minor axis.
_ROUND, _LONG = 1.6, 2.2


def guessed(tile: Tile, settings: SetSettings) -> Tile:
    """Guess the classes of a tile's nuclei.

    In carcinoma large nuclei are neoplastic and long ones connective: on CoNSeP 72 % and 59 % of such guesses are
    right. In normal tissue no nucleus is neoplastic; large round ones of glands are epithelial, small round ones of
    lymphoid organs inflammatory, long ones connective. If touching nuclei are merged, a shape that is not convex is
    several nuclei, of which nothing else is known; what is convex is one nucleus, whose distances are known.
    """
    classes = np.full(tile.nuclei.max() + 1, UNKNOWN, np.uint8)
    single = np.zeros(len(classes), bool)
    for nucleus in regionprops(tile.nuclei):
        area = nucleus.area * tile.mpp**2
        length = nucleus.axis_major_length / max(nucleus.axis_minor_length, 1.0)
        if settings.normal:
            classes[nucleus.label] = NOT_NEOPLASTIC
        if not tile.apart and (area <= 6 or nucleus.solidity < _CONVEX):
            continue
        single[nucleus.label] = True
        if 6 < area < 40 and length > _LONG:
            classes[nucleus.label] = CLASSES.index("connective")
        elif area > settings.large_um2 and length < _ROUND and not settings.normal:
            classes[nucleus.label] = CLASSES.index("neoplastic")
        elif area > settings.large_um2 and length < _ROUND and tile.organ in GLANDS:
            classes[nucleus.label] = CLASSES.index("epithelial")
        elif 8 < area < 40 and length < _ROUND and tile.organ in LYMPHOID:
            classes[nucleus.label] = CLASSES.index("inflammatory")
    if tile.apart:
        return replace(tile, classes=classes)
    single[0] = True
    known = np.where(single, INSTANCES, MASK).astype(np.uint8)
    return replace(tile, classes=classes, known=known[tile.nuclei])
