"""PassContext: the input of the object stage, one scale pass over one slide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.models.scale_pass import Recipe, ScalePass
from wsi_parse.objects.chunks import ChunkGrid
from wsi_parse.objects.parameters import ObjectParameters
from wsi_parse.predict.pass_maps import PassMaps
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.predict.tiles import Selection
from wsi_parse.slides.slide import Slide
from wsi_parse.tissue.mask import TissueMask


@dataclass(frozen=True)
class PassContext:
    """The input of the object stage: one scale pass over one slide.

    Parameters
    ----------
    slide : Slide
    scale_pass : ScalePass
    store : TileStore
    selection : Selection
    chunks : ChunkGrid
    tissue : TissueMask
        Cells whose seed does not lie on tissue are dropped.
    roi : shapely geometry or None
        Region of interest in level-0 pixels; cells whose seed lies outside are dropped.
    parameters : ObjectParameters
    """

    slide: Slide
    scale_pass: ScalePass
    store: TileStore
    selection: Selection
    chunks: ChunkGrid
    tissue: TissueMask
    roi: Any
    parameters: ObjectParameters

    @property
    def maps(self) -> PassMaps:
        """The maps of the pass, without what objects need besides."""
        return PassMaps(self.scale_pass, self.store, self.selection)

    def channel(self, name: str, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Stitch a channel on the object lattice; see :meth:`wsi_parse.predict.pass_maps.PassMaps.channel`."""
        return self.maps.channel(name, box)

    def cell_probability(self, recipe: Recipe, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Stitch the map that cells are found in: the recipe's channel, or the maximum of its competing channels."""
        first, *others = found_in(recipe)
        values, covered = self.channel(first, box)
        for name in others:
            np.maximum(values, self.channel(name, box)[0], out=values)
        return values, covered

    def is_empty(self, recipe: Recipe, box: Box) -> bool:
        """Return whether the map that cells are found in is zero, as far as that is known without reading a pixel."""
        return all(self.maps.is_empty(name, box) for name in found_in(recipe))


def found_in(recipe: Recipe) -> tuple[str, ...]:
    """Return the channels whose maximum cells of a recipe are found in."""
    return recipe.competing or (recipe.probability,)
