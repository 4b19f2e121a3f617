"""ChunkObjects: what one chunk gives, and its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.files import atomic
from wsi_parse.regions import Pieces


@dataclass(frozen=True)
class ChunkObjects:
    """What one chunk gives: finished cells, and pieces of regions.

    Parameters
    ----------
    cells : object array (N,)
        Polygons in level-0 pixels, fit for QuPath.
    recipe : int array (N,)
        Index into the recipes of the pass.
    measurements : dict of str to float array (N,)
    pieces : dict of int to Pieces
        By recipe.
    """

    cells: NDArray[np.object_]
    recipe: NDArray[np.int16]
    measurements: dict[str, NDArray[np.float64]]
    pieces: dict[int, Pieces]

    def save(self, path: Path) -> None:
        """Write whole or not at all; the archive carries checksums."""
        shapes = shapely.to_wkb(self.cells)
        arrays: dict[str, NDArray[Any]] = {
            "wkb": np.frombuffer(b"".join(shapes), np.uint8),
            "wkb_size": np.array([len(shape) for shape in shapes], np.int64),
            "recipe": self.recipe,
        }
        arrays |= {f"measurement.{name}": values for name, values in self.measurements.items()}
        for index, pieces in self.pieces.items():
            arrays |= pieces.to_arrays(f"pieces.{index}")
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "ChunkObjects":
        """Read what :meth:`save` wrote.

        Raises
        ------
        StoreError
            Where the file is missing or damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            ends = np.cumsum(arrays["wkb_size"])
            data = arrays["wkb"].tobytes()
            shapes = [
                data[end - size : end] for end, size in zip(ends.tolist(), arrays["wkb_size"].tolist(), strict=True)
            ]
            recipes = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("pieces.")})
            return cls(
                shapely.from_wkb(np.array(shapes, object)),
                arrays["recipe"],
                {
                    name.removeprefix("measurement."): values
                    for name, values in arrays.items()
                    if name.startswith("measurement.")
                },
                {index: Pieces.from_arrays(f"pieces.{index}", arrays) for index in recipes},
            )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, shapely.GEOSException) as error:
            raise StoreError(f"Stored objects {path.name} are damaged: {error}", "Run again.") from error
