"""ChunkObjects: the objects of one chunk, and the file they are kept in."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi_parse.errors import DamagedError, StoreError
from wsi_parse.files import atomic, clear_for_file, read_regular
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
        """Write the file whole or not at all; it carries checksums, and the name of its chunk."""
        with atomic(clear_for_file(path)) as temporary:
            if self._is_nothing:
                temporary.write_bytes(_nothing_in(path))
            else:
                self._save_arrays(temporary, _name_of(path))

    @property
    def _is_nothing(self) -> bool:
        """Whether there is neither an object nor a column nor a piece: most chunks of a slide with much glass."""
        return not (len(self.cells) or self.measurements or self.pieces) and self.nuclei is None

    def _save_arrays(self, path: Path, chunk: str) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "chunk": np.array(chunk),
            "recipe": self.recipe,
            **_packed("wkb", self.cells),
        }
        if self.nuclei is not None:
            arrays |= _packed("nuclei_wkb", self.nuclei)
        arrays |= {f"measurement.{name}": values for name, values in self.measurements.items()}
        for index, pieces in self.pieces.items():
            arrays |= pieces.to_arrays(f"pieces.{index}")
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "ChunkObjects":
        """Read what :meth:`save` wrote.

        Raises
        ------
        DamagedError
            The file is missing, damaged, or that of another chunk.
        StoreError
            The system does not let it be read now: nothing is known of it.
        """
        try:
            data = read_regular(path)
        except FileNotFoundError as error:
            raise _damaged(path, error.strerror or "it is missing") from error
        except OSError as error:
            raise StoreError(
                f"The stored objects {path.name} cannot be read: {error.strerror or error}.",
                "Run the same command again when that is mended. Finished work is kept.",
            ) from error
        if data == _nothing_in(path):
            return cls.of([], {})
        try:
            if data.startswith(_NOTHING):
                raise ValueError("they are those of another chunk")
            arrays = _arrays_in(data)
            if str(arrays["chunk"]) != _name_of(path):
                raise ValueError("they are those of another chunk")
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
        except _OF_DAMAGE as error:
            raise _damaged(path, str(error)) from error


_NOTHING = b"wsi-parse: no objects in chunk "
# What zipfile, numpy and shapely raise where a file is torn or holds anything.
_OF_DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    BadZipFile,
    shapely.GEOSException,
)


def _damaged(path: Path, reason: str) -> DamagedError:
    return DamagedError(
        f"The stored objects {path.name} are damaged: {reason}.",
        "Run the same command again: the objects of this chunk will be made again.",
    )


def _name_of(path: Path) -> str:
    """Name a chunk by the digest of its objects, its pass and its place, which are the last parts of its path."""
    return "/".join(path.absolute().parts[-3:])


def _nothing_in(path: Path) -> bytes:
    """Return the whole file of a chunk without objects: an archive of empty arrays takes ten times as long."""
    return _NOTHING + _name_of(path).encode()


def _arrays_in(data: bytes) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive; checksums come first, because a torn array may claim any size."""
    with ZipFile(BytesIO(data)) as archive:
        torn = archive.testzip()
    if torn is not None:
        raise ValueError(f"the checksum of {torn} is wrong")
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _packed(name: str, shapes: NDArray[np.object_]) -> dict[str, NDArray[Any]]:
    texts = shapely.to_wkb(shapes)
    sizes = np.array([len(text) for text in texts], np.int64)
    return {name: np.frombuffer(b"".join(texts), np.uint8), f"{name}_size": sizes}


def _unpacked(name: str, arrays: dict[str, NDArray[Any]]) -> NDArray[np.object_]:
    data, sizes = arrays[name].tobytes(), arrays[f"{name}_size"]
    ends = np.cumsum(sizes)
    texts = [data[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]
    return np.asarray(shapely.from_wkb(np.array(texts, object)))
