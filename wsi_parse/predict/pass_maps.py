"""PassMaps: the channels of a scale pass, stitched from the tile store on the lattice that objects are made on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.geometry import Box, Frame
from wsi_parse.models.scale_pass import ScalePass
from wsi_parse.predict.stitch import blend
from wsi_parse.predict.tile_store import TileStore
from wsi_parse.predict.tiles import Selection


@dataclass(frozen=True)
class PassMaps:
    """The maps of a scale pass; they are read from the store on demand and not held in memory.

    Parameters
    ----------
    scale_pass : ScalePass
    store : TileStore
    selection : Selection
        The tiles that were predicted.
    """

    scale_pass: ScalePass
    store: TileStore
    selection: Selection

    @property
    def stride(self) -> int:
        """Read pixels per pixel of `frame`."""
        return self.scale_pass.object_stride

    @property
    def frame(self) -> Frame:
        """The lattice that objects are made on."""
        return self.selection.grid.frame.coarser(self.stride)

    def is_seen(self, box: Box) -> bool:
        """Return whether a tile that overlaps a box of `frame` was predicted."""
        return bool(self.selection.reading(box.multiplied(self.stride)))

    def channel(self, name: str, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Stitch a channel on the object lattice; pixels of a coarser channel are repeated.

        Parameters
        ----------
        name : str
        box : Box
            Of `frame`; may reach past the slide.

        Returns
        -------
        values : uint8 array (box.height, box.width)
            Probabilities, 0..255; 0 where no tile was predicted.
        covered : bool array of the same shape
            Where a tile was predicted.

        Raises
        ------
        StoreError
            The store is damaged, or the channel does not fit the object lattice.
        """
        factor = self._factor(name)
        coarse = box.covering(factor)
        values, covered = blend(self.store, self.selection, name, coarse)
        if factor == 1:
            return values, covered
        part = box.relative_to(coarse.multiplied(factor)).slices
        return _repeated(values, factor)[part], _repeated(covered, factor)[part]

    def is_empty(self, name: str, box: Box) -> bool:
        """Return whether :meth:`channel` would give zeros only, as far as that is known without reading a pixel."""
        factor = self._factor(name)
        under = self.selection.blocks_under(box.covering(factor).multiplied(factor * self.stride))
        return all(self.store.is_empty(name, block) for block in under)

    def _factor(self, name: str) -> int:
        """Return how many pixels of the object lattice lie along a side of a channel's pixel."""
        factor, rest = divmod(self.scale_pass.channel(name).stride, self.stride)
        if rest:
            raise StoreError(
                f"The stride of channel {name!r} is not a multiple of the stride of the object lattice.",
                "Report this error to the author of the model.",
            )
        return factor


def _repeated(values: NDArray[Any], factor: int) -> NDArray[Any]:
    return values.repeat(factor, axis=0).repeat(factor, axis=1)
