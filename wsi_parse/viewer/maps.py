"""MapTiles: the probability maps that a run kept, as square tiles of their own lattice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_parse.geometry import Box
from wsi_parse.run.manifest import RunManifest
from wsi_parse.run.probability import StoredMaps, folders_of_maps
from wsi_parse.viewer.counts import TILE_PX

#: The coarsest tiles that are made: each pixel of one is the mean of 8 x 8 of the map, which are read for it.
MAX_ZOOM = 3
# A multiple of 2**MAX_ZOOM.
_BAND_PX = 512


@dataclass(frozen=True)
class MapTiles:
    """The map of one prompt; several threads may ask for tiles.

    Parameters
    ----------
    stored : StoredMaps
        Of the scale pass of the prompt.
    number : int
        Which of its maps.
    """

    stored: StoredMaps
    number: int

    def to_dict(self) -> dict[str, Any]:
        """Return it for view.json: the lattice of the map, and what its numbers mean."""
        found = self.stored.map
        frame = found.frame
        return {
            "prompt": found.prompts[self.number].text,
            "meaning": found.meanings[self.number],
            "width": frame.width,
            "height": frame.height,
            "scale": [frame.scale_x, frame.scale_y],
            "max_z": MAX_ZOOM,
        }

    def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """Return a tile as two planes of 512 x 512 bytes; None if it lies outside.

        Parameters
        ----------
        zoom : int
            log2 of the pixels of the map, in each direction, of which a pixel of the tile is the mean.
        column, row : int
            The tile covers pixels of the map from (column, row) * 512 * 2**zoom on.

        Returns
        -------
        bytes or None
            Row by row, first the probability in steps of 1/255, then 1 where something was predicted and 0 elsewhere.

        Raises
        ------
        StoreError
            The map is damaged.
        """
        frame = self.stored.map.frame
        side = TILE_PX << zoom if 0 <= zoom <= MAX_ZOOM else 0
        if not side or not (0 <= column * side < frame.width and 0 <= row * side < frame.height):
            return None
        right, bottom = min((column + 1) * side, frame.width), min((row + 1) * side, frame.height)
        planes = np.zeros((2, TILE_PX, TILE_PX), np.uint8)
        # Band by band: a tile of the coarsest zoom is made of 17 million pixels.
        for top in range(row * side, bottom, _BAND_PX):
            box = Box.from_corners(column * side, top, right, min(top + _BAND_PX, bottom))
            mean, seen = _reduced(*self.stored.read_one(self.number, box), 1 << zoom)
            place = np.s_[(top - row * side) >> zoom :, :]
            planes[0][place][: mean.shape[0], : mean.shape[1]] = mean
            planes[1][place][: mean.shape[0], : mean.shape[1]] = seen
        return planes.tobytes()


def maps_of_run(folder: Path, manifest: RunManifest) -> list[MapTiles]:
    """Return the maps that a run kept: one for each prompt, in their order.

    Raises
    ------
    StoreError
        What was kept is damaged.
    """
    found: dict[str, MapTiles] = {}
    for maps in folders_of_maps(folder, manifest.digests.predict):
        stored = StoredMaps(maps)
        for number, prompt in enumerate(stored.map.prompts):
            found.setdefault(prompt.name, MapTiles(stored, number))
    names = [str(one["name"]) for one in manifest.prompts]
    return [found[name] for name in names if name in found]


def _reduced(
    values: NDArray[np.uint8], covered: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the rounded mean of squares of pixels, of those that were predicted, and where there are any.

    >>> values, covered = np.array([[10, 20, 99], [30, 0, 7]], np.uint8), np.array([[1, 1, 1], [1, 0, 0]], bool)
    >>> _reduced(values, covered, 2)[0].tolist()
    [[20, 99]]
    """
    if factor == 1:
        return values, covered
    edges = [np.arange(0, length, factor) for length in values.shape]

    def summed(array: NDArray[Any]) -> NDArray[np.int64]:
        rows = np.add.reduceat(array, edges[0], axis=0, dtype=np.int64)
        return np.asarray(np.add.reduceat(rows, edges[1], axis=1))

    count = summed(covered)
    total = summed(np.where(covered, values, np.uint8(0)))
    return ((2 * total + count) // np.maximum(2 * count, 1)).astype(np.uint8), count > 0
