"""Checks of a set before training: the order of colours, and the size of nuclei."""

from collections.abc import Sequence

import numpy as np

from workflows.train_mini.tiles import Tile
from wsi_parse.models.mini.stain_normalization import density_of

#: Plausible median area of the nuclei of a set: from small lymphocytes with fragments to large tumour cells.
LIKELY_UM2 = (7.0, 80.0)
#: A larger outline is not a nucleus: it is a region, or covers several nuclei.
MAX_NUCLEUS_UM2 = 1500.0


def check(tiles: Sequence[Tile]) -> None:
    """Refuse a set with swapped colours or an implausible pixel size.

    Raises
    ------
    SystemExit
        Says what was found, and what to check.
    """
    name = tiles[0].set_name
    if all(tile.centres is not None or tile.tumour is not None for tile in tiles):
        # The truth is points or regions: there is no nucleus to look at.
        return
    _check_sizes(tiles)
    if (excess := np.median([red_excess(tile) for tile in tiles if tile.nuclei.any()])) < 0:
        raise SystemExit(
            f"{name}: compared with their surroundings, nuclei absorb more blue light than red "
            f"({-excess:.2f} in density), but haematoxylin absorbs red. Check whether the colours are swapped (BGR)."
        )


def _check_sizes(tiles: Sequence[Tile]) -> None:
    """Refuse sets without nuclei, single outlines that are too large, and an implausible median size."""
    name = tiles[0].set_name
    of_tile = [tile.areas_um2() for tile in tiles]
    areas = np.concatenate(of_tile)
    if not len(areas):
        raise SystemExit(f"{name}: no nucleus is marked. Check the annotations.")
    if not any(tile.known_pixels().any() for tile in tiles):
        # The truth is boxes, which are larger than nuclei.
        return
    for tile, own in zip(tiles, of_tile, strict=True):
        if tile.apart and (size := own.max(initial=0)) > MAX_NUCLEUS_UM2:
            raise SystemExit(
                f"{name}: an outline of {tile.name} covers {size:,.0f} µm², which is not a nucleus. Correct it."
            )
    if not LIKELY_UM2[0] <= np.median(areas) <= LIKELY_UM2[1]:
        raise SystemExit(
            f"{name}: the median area of the nuclei is {np.median(areas):.0f} µm²; {LIKELY_UM2[0]:g} to "
            f"{LIKELY_UM2[1]:g} µm² are plausible. Check the pixel size (mpp)."
        )


def red_excess(tile: Tile) -> float:
    """Return how much more red than blue light the nuclei of a tile absorb, relative to their surroundings."""
    density = density_of(tile.image)
    redder = density[..., 0] - density[..., 2]
    inside = tile.nuclei > 0
    return float(redder[inside].mean() - redder[~inside].mean())
