"""ChunkObjects: the objects of one chunk, and the file they are kept in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import StoreError
from wsi_parse.files import atomic
from wsi_parse.objects.batch import concatenate_columns
from wsi_parse.objects.regions import Pieces


@dataclass(frozen=True)
class FoundCells:
    """The cells of one group of recipes in a chunk; fields as in :class:`ChunkObjects`."""

    cells: NDArray[np.object_]
    recipe: NDArray[np.int16]
    measurements: dict[str, NDArray[np.float64]]
    nuclei: NDArray[np.object_] | None = None


@dataclass(frozen=True)
class ChunkObjects:
    """The result of one chunk: finished cells, and pieces of regions.

    Parameters
    ----------
    cells : object array (N,)
        Polygons in level-0 pixels, fit for QuPath.
    recipe : int array (N,)
        Index into the recipes of the scale pass.
    measurements : dict of str to float array (N,)
        Column name (with unit) -> values; NaN where a cell has no such value.
    pieces : dict of int to Pieces
        Pieces of regions, by index of the recipe.
    nuclei : object array (N,), optional
        Nuclei of the cells, if nuclei were expanded to cells.
    """

    cells: NDArray[np.object_]
    recipe: NDArray[np.int16]
    measurements: dict[str, NDArray[np.float64]]
    pieces: dict[int, Pieces]
    nuclei: NDArray[np.object_] | None = None

    @classmethod
    def of(cls, parts: Sequence[FoundCells], pieces: dict[int, Pieces]) -> "ChunkObjects":
        """Concatenate the cells of all groups; a measurement that one group lacks is NaN there."""
        if not parts:
            return cls(np.empty(0, object), np.empty(0, np.int16), {}, pieces)
        nuclei = [part.nuclei for part in parts if part.nuclei is not None]
        return cls(
            np.concatenate([part.cells for part in parts]),
            np.concatenate([part.recipe for part in parts]),
            concatenate_columns([(len(part.cells), part.measurements) for part in parts]),
            pieces,
            np.concatenate(nuclei) if nuclei else None,
        )

    def save(self, path: Path) -> None:
        """Write the file atomically; the archive carries checksums."""
        arrays: dict[str, NDArray[Any]] = {"recipe": self.recipe, **_packed("wkb", self.cells)}
        if self.nuclei is not None:
            arrays |= _packed("nuclei_wkb", self.nuclei)
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
            The file is missing or damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            recipes = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("pieces.")})
            return cls(
                _unpacked("wkb", arrays),
                arrays["recipe"],
                {
                    name.removeprefix("measurement."): values
                    for name, values in arrays.items()
                    if name.startswith("measurement.")
                },
                {index: Pieces.from_arrays(f"pieces.{index}", arrays) for index in recipes},
                _unpacked("nuclei_wkb", arrays) if "nuclei_wkb" in arrays else None,
            )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, shapely.GEOSException) as error:
            raise StoreError(
                f"The stored objects {path.name} are damaged: {error}",
                "Run the same command again: the objects of this chunk will be made again.",
            ) from error


def _packed(name: str, shapes: NDArray[np.object_]) -> dict[str, NDArray[Any]]:
    texts = shapely.to_wkb(shapes)
    sizes = np.array([len(text) for text in texts], np.int64)
    return {name: np.frombuffer(b"".join(texts), np.uint8), f"{name}_size": sizes}


def _unpacked(name: str, arrays: dict[str, NDArray[Any]]) -> NDArray[np.object_]:
    data, sizes = arrays[name].tobytes(), arrays[f"{name}_size"]
    ends = np.cumsum(sizes)
    texts = [data[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]
    return np.asarray(shapely.from_wkb(np.array(texts, object)))
