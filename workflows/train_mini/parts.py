"""Nuclei cut in parts, and lost in a merge: how well touching nuclei are split, by their size.

``python -m workflows.train_mini.parts DATA`` measures the embedded weights on the held-out tiles of each set whose
touching nuclei are apart; ``--weights`` measures others. ``--enlarge 1.5`` takes the tiles as if a pixel of theirs were
as much wider, so that there are more large nuclei.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workflows.train_mini.figures import figures
from workflows.train_mini.looked import LOG_NAME, log_look
from workflows.train_mini.measure import predict, score, segmented, without_fragments
from workflows.train_mini.selection import SETTINGS, Selection
from workflows.train_mini.tiles import Tile
from wsi_parse.models.mini.facts import EMBEDDED, READ_MPP
from wsi_parse.models.mini.network import MiniNetwork, fuse
from wsi_parse.models.mini.weights import load_network

#: True nuclei of at least this area are large.
LARGE_UM2 = 80.0


@dataclass(frozen=True)
class Parts:
    """Counts of one tile, or of several.

    Parameters
    ----------
    known, large : int
        True nuclei, and those of at least LARGE_UM2.
    cut : int
        Large true nuclei in which two or more found nuclei lie, each with more than half of its area.
    merged : int
        True nuclei lost in a merge: of those of which more than half is covered by one found nucleus, all but one.
    """

    known: int = 0
    large: int = 0
    cut: int = 0
    merged: int = 0

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(
            self.known + other.known, self.large + other.large, self.cut + other.cut, self.merged + other.merged
        )

    @property
    def cut_share(self) -> float:
        """Share of the large true nuclei that are cut."""
        return self.cut / max(1, self.large)

    @property
    def merged_share(self) -> float:
        """Share of all true nuclei that are lost in a merge."""
        return self.merged / max(1, self.known)


def parts_of(found: NDArray[np.int32], known: NDArray[np.int32], mpp: float = READ_MPP) -> Parts:
    """Count cut and merged nuclei of a tile.

    Parameters
    ----------
    found, known : int arrays (rows, columns)
        Numbers 1, 2, … of the nuclei, without gaps; 0 elsewhere.
    mpp : float
        Microns per pixel of both.
    """
    found_px, known_px = np.bincount(found.ravel()), np.bincount(known.ravel())
    pairs, overlap = np.unique(np.stack([found.ravel(), known.ravel()]), axis=1, return_counts=True)
    both = (pairs > 0).all(axis=0)
    (of_found, of_known), overlap = pairs[:, both], overlap[both]
    parts = np.bincount(of_known[2 * overlap > found_px[of_found]], minlength=len(known_px))
    held = np.bincount(of_found[2 * overlap > known_px[of_known]], minlength=len(found_px))
    large = known_px * mpp**2 >= LARGE_UM2
    large[0] = False
    return Parts(
        len(known_px) - 1, int(large.sum()), int((parts[large] >= 2).sum()), int(np.maximum(held - 1, 0).sum())
    )


def parts_of_tiles(network: MiniNetwork, tiles: Sequence[Tile]) -> Parts:
    """Count cut and merged nuclei of some tiles, segmented as in a run."""
    total = Parts()
    for tile in tiles:
        read = tile.at(READ_MPP)
        total += parts_of(segmented(predict(network, read.image)), without_fragments(read.nuclei))
    return total


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m workflows.train_mini.parts", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--weights", type=Path, default=EMBEDDED, help="default: the embedded ones")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="YAML file with the sets; default: card.yaml")
    parser.add_argument("--learnt", action="store_true", help="measure the tiles of the training, to choose limits")
    parser.add_argument("--enlarge", type=float, default=1.0, help="factor of the pixel size; default: 1")
    given = parser.parse_args()
    network = fuse(load_network(given.weights))
    print(f"{'set':10} {'large':>6} {'cut':>6} {'merged':>7} {'PQ':>6} {'F1':>6}")
    selection = Selection(given.data, given.settings)
    chosen = selection.learnt() if given.learnt else selection.held_out()
    outlined = [tile for tile in chosen if tile.apart and tile.centres is None and tile.known is None]
    if not given.learnt:
        log_look("parts", given.weights, outlined, given.settings.parent / LOG_NAME)
    for name in dict.fromkeys(tile.set_name for tile in outlined):
        tiles = [replace(tile, mpp=tile.mpp * given.enlarge) for tile in outlined if tile.set_name == name]
        parts = parts_of_tiles(network, tiles)
        of_all = figures([score(network, tile) for tile in tiles])
        shares = f"{parts.cut_share:6.3f} {parts.merged_share:7.3f} {of_all['pq']:6.3f} {of_all['f1']:6.3f}"
        print(f"{name:10} {parts.large:6} {shares}", flush=True)


if __name__ == "__main__":
    main()
