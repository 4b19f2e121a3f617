"""TileStore: the model's maps of each tile on disk, one zarr shard per block, with a checksum of each shard."""

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from wsi_parse.errors import DamagedError, StoreError
from wsi_parse.files import file_stamp, read_regular, real_folder, remove, write_text
from wsi_parse.geometry import Box
from wsi_parse.predict.tiles import TileGrid
from wsi_parse.predict.unreadable import Unreadable

# Reading a window takes 0.4 ms per square of this size, so larger squares are faster until too much is read.
_INNER_PX = 512
_DONE, _ZARR = "done", "zarr.json"
_AGAIN = "Run the same command again: the block will be predicted again."


class TileStore:
    """The channels of all tiles, stored side by side without overlap.

    A tile at (row, column) of a channel lies at [row * t, (row + 1) * t) with t = tile_px / stride. A block is
    written once, by one task; its marker is written last and holds a checksum of every shard, so that an incomplete
    or missing shard is never taken for "nothing found".

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    grid : TileGrid
    strides : mapping of channel name to stride
        Read pixels per pixel of the channel.
    create : bool
        False opens a store for reading only: what is missing is an error, and nothing is created.

    Raises
    ------
    StoreError
        `create` is False, and the store is missing or has another form.
    """

    def __init__(self, folder: Path, grid: TileGrid, strides: Mapping[str, int], *, create: bool = True) -> None:
        self.folder = folder
        self.grid = grid
        self.strides = dict(strides)
        self._folders = {name: folder / folder_name(name) for name in self.strides}
        # What the markers of whole blocks say, as far as they were asked for: every chunk asks several times.
        self._known: dict[tuple[int, int], _Known] = {}
        if not create:
            self._arrays = {name: self._open_to_read(name) for name in self.strides}
            return
        for path in (folder, folder / _DONE, *self._folders.values()):
            real_folder(path)
        self._arrays = {name: self._open(name) for name in self.strides}

    def _form(self, channel: str) -> tuple[tuple[int, int], int, int]:
        """Return the shape of a channel's array, and the sides of a shard and of a square inside it."""
        side = self.side(channel)
        shard = self.grid.block * side
        inner = next(shard // parts for parts in range(-(-shard // _INNER_PX), shard + 1) if shard % parts == 0)
        rows, columns = self.grid.shape
        return (rows * side, columns * side), shard, inner

    def _open_to_read(self, channel: str) -> zarr.Array:
        shape, shard, inner = self._form(channel)
        try:
            # zarr would wait for ever for what a pipe says.
            read_regular(self._folders[channel] / _ZARR)
            array = zarr.open_array(str(self._folders[channel]), mode="r")
        except OSError as error:
            raise _cannot_open(channel, f"{_ZARR}: {error.strerror or type(error).__name__}") from error
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _cannot_open(channel, str(error) or type(error).__name__) from error
        # A file may claim anything: only the form that we write is read.
        found = array.shape, array.shards, array.chunks, array.dtype
        if found != (shape, (shard, shard), (inner, inner), np.dtype(np.uint8)):
            raise _cannot_open(channel, "they have another form than their description says")
        return array

    def _open(self, channel: str) -> zarr.Array:
        """Open an array for writing; a description that is not the one that we write is written anew.

        The shards stay: whether they fit is what the markers of the blocks say.
        """
        path = self._folders[channel]
        expected = self._create(channel, zarr.storage.MemoryStore()).metadata.to_dict()
        try:
            if json.loads(read_regular(path / _ZARR)) == json.loads(json.dumps(expected)):
                return zarr.open_array(str(path), mode="r+")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _cannot_read_now(path / _ZARR, error) from error
        except (ValueError, RecursionError):
            pass
        remove(path / _ZARR)
        return self._create(channel, str(path))

    def _create(self, channel: str, store: Any) -> zarr.Array:  # noqa: ANN401 - a path or a store of zarr
        shape, shard, inner = self._form(channel)
        return zarr.create_array(
            store,
            shape=shape,
            chunks=(inner, inner),
            shards=(shard, shard),
            dtype="uint8",
            compressors=zarr.codecs.ZstdCodec(level=1),
            fill_value=0,
        )

    def side(self, channel: str) -> int:
        """Side of a tile of a channel, in pixels of the channel."""
        return self.grid.tile_px // self.strides[channel]

    def write_block(
        self,
        block: tuple[int, int],
        tiles: Mapping[str, Mapping[tuple[int, int], NDArray[np.uint8]]],
        notes: Mapping[str, Mapping[tuple[int, int], list[float]]] | None = None,
        reduced_batch: int | None = None,
        unreadable: Unreadable | None = None,
    ) -> None:
        """Write all tiles of a block, then its marker.

        Parameters
        ----------
        block : (row, column)
        tiles : channel -> index (row, column) of the tile in the grid -> uint8 array (t, t)
            Tiles that are left out were not predicted.
        notes : channel -> index (row, column) -> numbers, optional
            The model's notes about the tiles; kept with the marker.
        reduced_batch : int, optional
            How many tiles were predicted at a time, if memory did not hold as many as the run asked for; kept with the
            marker as well, so that a resumed run knows it.
        unreadable : Unreadable, optional
            Where the slide could not be read: these places count as not covered.
        """
        indices = self.grid.tiles_of(block)
        # zarr reads a shard that exists already, and fails if it is damaged.
        remove(self.marker(block))
        for channel in self._arrays:
            shard = self._shard(channel, block)
            for path in (shard.parent.parent, shard.parent):
                real_folder(path)
            remove(shard)
        for channel, array in self._arrays.items():
            # The marker alone says that all is exactly zero: there is nothing to store and nothing to read.
            if not any(tile.max(initial=0) for tile in tiles[channel].values()):
                continue
            side = self.side(channel)
            top, left = indices.rows.start, indices.columns.start
            values = np.zeros((len(indices.rows) * side, len(indices.columns) * side), np.uint8)
            for (row, column), tile in tiles[channel].items():
                box = Box((column - left) * side, (row - top) * side, side, side)
                values[box.slices] = tile
            area = Box(left * side, top * side, values.shape[1], values.shape[0])
            array[area.slices] = values
        sums = {channel: self._checksum(channel, block) for channel in self._arrays}
        noted = {channel: list(of_tiles.values()) for channel, of_tiles in (notes or {}).items()}
        self._known.pop(block, None)
        marker = _Marker(
            block=self._name_of(block),
            sums=sums,
            notes=noted,
            reduced_batch=reduced_batch,
            unreadable=unreadable or Unreadable(),
        )
        write_text(self.marker(block), marker.model_dump_json())

    def is_whole(self, block: tuple[int, int]) -> bool:
        """Return whether a block was written completely and has not changed since.

        Raises
        ------
        StoreError
            The system does not let its files be read now: nothing is known of the block.
        """
        try:
            sums = self._marked(block).sums
            return sums == {channel: self._checksum(channel, block) for channel in self._arrays}
        except DamagedError:
            return False

    def stamp(self, block: tuple[int, int]) -> tuple[object, ...]:
        """Return what tells, without reading them, whether the files of a block are still those that they were."""
        paths = [self.marker(block), *(self._shard(channel, block) for channel in self._arrays)]
        return tuple(map(file_stamp, paths))

    def _marked(self, block: tuple[int, int]) -> "_Marker":
        """Read the marker of a block.

        Raises
        ------
        DamagedError
            It is missing, damaged, or that of another block.
        StoreError
            It cannot be read now.
        """
        path = self.marker(block)
        try:
            marker = _Marker.model_validate_json(read_regular(path))
        except (FileNotFoundError, ValueError) as error:
            raise DamagedError(f"The marker {path.name} of a predicted block is missing or damaged.", _AGAIN) from error
        except OSError as error:
            raise _cannot_read_now(path, error) from error
        if marker.block != self._name_of(block):
            raise DamagedError(f"The marker {path.name} is that of another block.", _AGAIN)
        return marker

    def _name_of(self, block: tuple[int, int]) -> str:
        """Name a block by the digest of the maps, its pass and its place."""
        return "/".join((*self.folder.absolute().parts[-2:], f"{block[0]}.{block[1]}"))

    def notes(self, blocks: Iterable[tuple[int, int]]) -> dict[str, NDArray[np.float64]]:
        """Read the model's notes about the tiles of whole blocks: channel -> (tiles, K), in the order of `blocks`."""
        found: dict[str, list[list[float]]] = {}
        for block in blocks:
            for channel, noted in self._marked(block).notes.items():
                found.setdefault(channel, []).extend(noted)
        return {channel: np.array(noted, np.float64) for channel, noted in found.items()}

    def reduced_batch(self, blocks: Iterable[tuple[int, int]]) -> int | None:
        """Return the fewest tiles that memory held at a time in any of these whole blocks; None where all fitted."""
        found = [self._marked(block).reduced_batch for block in blocks]
        return min((batch for batch in found if batch is not None), default=None)

    def unreadable(self, block: tuple[int, int]) -> Unreadable:
        """Return where the slide could not be read when a whole block was predicted."""
        return self._of_marker(block).unreadable

    def is_empty(self, channel: str, block: tuple[int, int]) -> bool:
        """Return whether a whole block is exactly zero in a channel; its marker says so, and no pixel is read."""
        return channel in self._of_marker(block).empty

    def _of_marker(self, block: tuple[int, int]) -> "_Known":
        if block not in self._known:
            marker = self._marked(block)
            empty = frozenset(channel for channel, total in marker.sums.items() if total is None)
            self._known[block] = _Known(marker.unreadable, empty)
        return self._known[block]

    def read(self, channel: str, box_stored: Box) -> NDArray[np.uint8]:
        """Read pixels as they are stored: side by side, the tile at (row, column) from x = column * t, y = row * t.

        Raises
        ------
        StoreError
            The store is damaged.
        """
        try:
            return np.asarray(self._arrays[channel][box_stored.slices])
        except (OSError, ValueError, RuntimeError) as error:
            side = self.side(channel)
            row, column = box_stored.y // side, box_stored.x // side
            raise StoreError(
                f"The stored predictions from tile (row {row}, column {column}) on cannot be read: {error}",
                _AGAIN,
            ) from error

    def marker(self, block: tuple[int, int]) -> Path:
        """Path of the file that marks a block as whole and holds its checksums and notes."""
        return self.folder / _DONE / f"{block[0]}.{block[1]}.json"

    def _shard(self, channel: str, block: tuple[int, int]) -> Path:
        return self._folders[channel] / "c" / str(block[0]) / str(block[1])

    def _checksum(self, channel: str, block: tuple[int, int]) -> int | None:
        path = self._shard(channel, block)
        try:
            return zlib.crc32(read_regular(path))
        except FileNotFoundError as error:
            if os.path.lexists(path):
                raise DamagedError(f"The stored predictions {path.name} are not a file.", _AGAIN) from error
            # A shard of zeros has no file.
            return None
        except OSError as error:
            raise _cannot_read_now(path, error) from error


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept in memory of a marker: where the slide could not be read, and the channels that are all zero."""

    unreadable: Unreadable
    empty: frozenset[str]


class _Marker(BaseModel):
    """The form of the file that marks a block as whole."""

    model_config = ConfigDict(ser_json_inf_nan="constants", strict=True)

    block: str
    #: Of the shard of each channel; None where there is none, because all is zero.
    sums: dict[str, int | None]
    #: What the model noted of each tile, in their order.
    notes: dict[str, list[list[float]]]
    reduced_batch: int | None
    #: Where the slide could not be read.
    unreadable: Unreadable


def _cannot_read_now(path: Path, error: OSError) -> StoreError:
    """Build the error for a file that the system does not let us read now; it is kept as it is."""
    return StoreError(
        f"The stored predictions cannot be read ({path.name}): {error.strerror or error}.",
        "Run the same command again when that is mended. Finished work is kept.",
    )


def _cannot_open(channel: str, reason: str) -> StoreError:
    return StoreError(
        f"The stored predictions of channel {channel!r} cannot be opened: {reason.removesuffix('.')}.",
        "Run the same command again with --keep predictions.",
    )


def folder_name(channel: str) -> str:
    """Name a channel's folder: the channel's name, or a safe name made from it, because free text may name a channel.

    >>> folder_name("neoplastic cells"), folder_name("../a")
    ('neoplastic cells', 'a-7bd30558')
    """
    if _SAFE.fullmatch(channel) and channel not in {_DONE, "objects"}:
        return channel
    return f"{'-'.join(_WORDS.findall(channel))[:40]}-{zlib.crc32(channel.encode()):08x}"


_SAFE = re.compile(r"[a-z0-9_][a-z0-9_ -]{0,59}")
_WORDS = re.compile(r"[a-z0-9]+")
