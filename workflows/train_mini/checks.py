"""What a set must look like before anything is learnt from it: colours in their order, nuclei of a likely size."""

from collections.abc import Sequence

import numpy as np

from workflows.train_mini.tiles import Tile
from wsi_parse.models.mini.stain_normalization import density_of

#: Median area of the nuclei of a set: small lymphocytes with fragments, to large tumour cells.
LIKELY_UM2 = (7.0, 80.0)
#: No nucleus is as large: it is a region, or a drawing of several.
LARGEST_UM2 = 1500.0


def check(tiles: Sequence[Tile]) -> None:
    """Refuse a set whose colours are swapped, or whose pixel size cannot be.

    Raises
    ------
    SystemExit
        Says what was seen, and what to look at.
    """
    name = tiles[0].set_name
    of_tile = [tile.areas_um2() for tile in tiles]
    areas = np.concatenate(of_tile)
    if not len(areas):
        raise SystemExit(f"{name}: no nucleus is marked.")
    for tile, own in zip(tiles, of_tile, strict=True):
        if tile.apart and (size := own.max(initial=0)) > LARGEST_UM2:
            raise SystemExit(f"{name}: an outline of {tile.name} covers {size:,.0f} um2: that is no nucleus.")
    if not LIKELY_UM2[0] <= np.median(areas) <= LIKELY_UM2[1]:
        raise SystemExit(
            f"{name}: half of the nuclei are below {np.median(areas):.0f} um2; {LIKELY_UM2[0]:g} to {LIKELY_UM2[1]:g} "
            "would be likely. Is the pixel size (mpp) right?"
        )
    if (excess := np.median([red_excess(tile) for tile in tiles if tile.nuclei.any()])) < 0:
        raise SystemExit(
            f"{name}: compared with their surroundings, nuclei take more blue light than red "
            f"({-excess:.2f} in density). Haematoxylin takes red: are the colours swapped (BGR)?"
        )


def red_excess(tile: Tile) -> float:
    """How much more red than blue light the nuclei of a tile take, compared with what is around them."""
    density = density_of(tile.image)
    redder = density[..., 0] - density[..., 2]
    inside = tile.nuclei > 0
    return float(redder[inside].mean() - redder[~inside].mean())
