"""TileStore: the model's maps of each tile on disk, one zarr shard per block, with a checksum of each shard."""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import TypeAdapter

from wsi_parse.errors import StoreError
from wsi_parse.files import write_text
from wsi_parse.geometry import Box
from wsi_parse.predict.tiles import TileGrid
from wsi_parse.predict.unreadable import Unreadable

# Reading a window takes 0.4 ms per square of this size, so larger squares are faster until too much is read.
_INNER_PX = 512


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
        # Of whole blocks, as far as they were asked for: every chunk asks several times.
        self._unreadable: dict[tuple[int, int], Unreadable] = {}
        if not create:
            self._arrays = {name: self._open_to_read(name) for name in self.strides}
            return
        (folder / "done").mkdir(parents=True, exist_ok=True)
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
            array = zarr.open_array(str(self._folders[channel]), mode="r")
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _cannot_open(channel, str(error) or type(error).__name__) from error
        # A file may claim anything: only the form that we write is read.
        found = array.shape, array.shards, array.chunks, array.dtype
        if found != (shape, (shard, shard), (inner, inner), np.dtype(np.uint8)):
            raise _cannot_open(channel, "they have another form than their description says")
        return array

    def _open(self, channel: str) -> zarr.Array:
        shape, shard, inner = self._form(channel)
        path = self._folders[channel]
        if (path / "zarr.json").exists():
            return zarr.open_array(str(path), mode="r+")
        return zarr.create_array(
            str(path),
            shape=shape,
            chunks=(inner, inner),
            shards=(shard, shard),
            dtype="uint8",
            compressors=zarr.codecs.ZstdCodec(level=1),
            fill_value=0,
            overwrite=True,
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
        self.marker(block).unlink(missing_ok=True)
        for channel in self._arrays:
            self._shard(channel, block).unlink(missing_ok=True)
        for channel, array in self._arrays.items():
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
        self._unreadable.pop(block, None)
        places = _UNREADABLE.dump_python(unreadable or Unreadable(), mode="json")
        marked = {"sums": sums, "notes": noted, "reduced_batch": reduced_batch, "unreadable": places}
        write_text(self.marker(block), json.dumps(marked))

    def is_whole(self, block: tuple[int, int]) -> bool:
        """Return whether a block was written completely and has not changed since."""
        try:
            sums = json.loads(self.marker(block).read_text(encoding="utf-8"))["sums"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return sums == {channel: self._checksum(channel, block) for channel in self._arrays}

    def notes(self, blocks: Iterable[tuple[int, int]]) -> dict[str, NDArray[np.float64]]:
        """Read the model's notes about the tiles of whole blocks: channel -> (tiles, K), in the order of `blocks`."""
        found: dict[str, list[list[float]]] = {}
        for block in blocks:
            for channel, noted in json.loads(self.marker(block).read_text(encoding="utf-8"))["notes"].items():
                found.setdefault(channel, []).extend(noted)
        return {channel: np.array(noted, np.float64) for channel, noted in found.items()}

    def reduced_batch(self, blocks: Iterable[tuple[int, int]]) -> int | None:
        """Return the fewest tiles that memory held at a time in any of these whole blocks; None where all fitted."""
        found = [json.loads(self.marker(block).read_text(encoding="utf-8")).get("reduced_batch") for block in blocks]
        return min((int(batch) for batch in found if batch is not None), default=None)

    def unreadable(self, block: tuple[int, int]) -> Unreadable:
        """Return where the slide could not be read when a whole block was predicted."""
        if block not in self._unreadable:
            found = json.loads(self.marker(block).read_text(encoding="utf-8"))["unreadable"]
            self._unreadable[block] = _UNREADABLE.validate_python(found)
        return self._unreadable[block]

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
                "Run the same command again: the block will be predicted again.",
            ) from error

    def marker(self, block: tuple[int, int]) -> Path:
        """Path of the file that marks a block as whole and holds its checksums and notes."""
        return self.folder / "done" / f"{block[0]}.{block[1]}.json"

    def _shard(self, channel: str, block: tuple[int, int]) -> Path:
        return self._folders[channel] / "c" / str(block[0]) / str(block[1])

    def _checksum(self, channel: str, block: tuple[int, int]) -> int | None:
        try:
            return zlib.crc32(self._shard(channel, block).read_bytes())
        except FileNotFoundError:
            # zarr writes no file for a shard of zeros.
            return None


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
    if _SAFE.fullmatch(channel) and channel not in {"done", "objects"}:
        return channel
    return f"{'-'.join(_WORDS.findall(channel))[:40]}-{zlib.crc32(channel.encode()):08x}"


_UNREADABLE = TypeAdapter(Unreadable)
_SAFE = re.compile(r"[a-z0-9_][a-z0-9_ -]{0,59}")
_WORDS = re.compile(r"[a-z0-9]+")
