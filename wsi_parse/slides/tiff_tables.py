"""The directories of a TIFF, read without a parser: where they lie, and the places and sizes of what is stored."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

TILE_WIDTH, TILE_LENGTH = 322, 323
_SUB_DIRECTORIES, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 330, 273, 279, 324, 325
_STORED = ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES))
_WIDTH, _LENGTH, _DEPTH, _SAMPLES, _ROWS_PER_STRIP, _PLANES, _TILE_DEPTH = 256, 257, 32997, 277, 278, 284, 32998
_SEPARATE_PLANES = 2
_KEPT = {_SUB_DIRECTORIES, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, TILE_WIDTH, TILE_LENGTH}
_KEPT |= {_WIDTH, _LENGTH, _DEPTH, _SAMPLES, _ROWS_PER_STRIP, _PLANES, _TILE_DEPTH}
# Bytes of each type of values, and the types that are whole numbers.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
# Directories of slides have about 30 entries, and slides about 20 directories: a damaged count must not cost hours.
_MAX_ENTRIES, MAX_DIRECTORIES = 4096, 4096
_LARGEST = (1 << 62) - 1


class DamagedTiffError(ValueError):
    """A directory cannot be read, or refers to what is not in the file."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory of a TIFF: the description of one image.

    Parameters
    ----------
    numbers : dict of tag to array of whole numbers
        Size of the image and of a tile, places and sizes of strips and tiles, places of directories below it.
    end : int
        The end of all values that the directory refers to, in bytes from the start of the file.
    """

    numbers: dict[int, NDArray[np.int64]]
    end: int

    @property
    def stored(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Places and sizes of its strips, and of its tiles."""
        pairs = [(self.of(places), self.of(sizes)) for places, sizes in _STORED]
        return [(places[: len(sizes)], sizes[: len(places)]) for places, sizes in pairs]

    @property
    def size(self) -> tuple[int, int]:
        """Claimed width and height of its image; 0 if it does not say."""
        return self._first(_WIDTH, 0), self._first(_LENGTH, 0)

    @property
    def lacking(self) -> tuple[int, int] | None:
        """How many tiles or strips are stored and how many its size needs, where that differs; None if it fits."""
        width, height = self.size
        strips, tiles = (len(places) for places, _ in self.stored)
        tile_width, tile_height = self._first(TILE_WIDTH, 0), self._first(TILE_LENGTH, 0)
        planes = self._first(_SAMPLES, 1) if self._first(_PLANES, 1) == _SEPARATE_PLANES else 1
        if tiles and tile_width and tile_height:
            layers = _parts(self._first(_DEPTH, 1), max(1, self._first(_TILE_DEPTH, 1)))
            needed = _parts(width, tile_width) * _parts(height, tile_height) * layers * planes
            return None if tiles == needed else (tiles, needed)
        if strips and (rows := self._first(_ROWS_PER_STRIP, height)):
            # Some programs write more strips than the image needs.
            needed = _parts(height, rows) * planes
            return None if strips >= needed else (strips, needed)
        return None

    def _first(self, tag: int, default: int) -> int:
        found = self.of(tag)
        return int(found[0]) if found.size else default

    def of(self, tag: int) -> NDArray[np.int64]:
        """Return the numbers of a tag; none if it is missing."""
        return self.numbers.get(tag, np.empty(0, np.int64))


def _parts(length: int, of_length: int) -> int:
    return -(-length // of_length)


def directories(file: IO[bytes]) -> Iterator[Directory]:
    """Yield the directories of a TIFF or BigTIFF, each once; none for any other file.

    Raises
    ------
    DamagedTiffError
    """
    form = _form_of(file)
    if form is None:
        return
    size = file.seek(0, 2)
    open_places, seen = [form.first], set[int]()
    while open_places:
        place = open_places.pop()
        if not place or place in seen:
            continue
        seen.add(place)
        if len(seen) > MAX_DIRECTORIES:
            raise DamagedTiffError(f"it has more than {MAX_DIRECTORIES} images")
        directory, following = _read(file, form, place, size)
        yield directory
        open_places += [*directory.of(_SUB_DIRECTORIES).tolist(), following]


def hash_tables(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the places and sizes of all that is stored in a TIFF, as bytes; nothing for any other or a damaged file."""
    try:
        for directory in directories(file):
            for places, sizes in directory.stored:
                yield places.tobytes()
                yield sizes.tobytes()
    except DamagedTiffError:
        return


@dataclass(frozen=True, slots=True)
class _Form:
    """How a TIFF writes numbers: byte order, formats of a count of entries and of a place, bytes of an entry."""

    order: str
    count: str
    place: str
    entry: int
    first: int


def _form_of(file: IO[bytes]) -> _Form | None:
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return None
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version == 42:
        return _Form(order, "H", "I", 12, struct.unpack(f"{order}I", head[4:8])[0])
    if version == 43:
        return _Form(order, "Q", "Q", 20, struct.unpack(f"{order}Q", head[8:16])[0])
    return None


def _read(file: IO[bytes], form: _Form, place: int, size: int) -> tuple[Directory, int]:
    """Read the directory at a place, and the place of the one that follows."""
    count = _unpack(_bytes(file, place, struct.calcsize(form.count), size), form.order + form.count)
    if count > _MAX_ENTRIES:
        raise DamagedTiffError("a directory has too many entries")
    start, inline = place + struct.calcsize(form.count), struct.calcsize(form.place)
    entries = _bytes(file, start, count * form.entry + inline, size)
    numbers, end = {}, start + len(entries)
    for index in range(count):
        entry = entries[index * form.entry : (index + 1) * form.entry]
        tag, kind = struct.unpack_from(f"{form.order}HH", entry)
        length = _BYTES.get(kind, 1) * _unpack(entry[4 : 4 + inline], form.order + form.place)
        values = entry[4 + inline :]
        if length > inline:
            values_place = _unpack(values, form.order + form.place)
            end = max(end, values_place + length)
            values = _bytes(file, values_place, length, size) if tag in _KEPT else b""
        if tag in _KEPT:
            numbers[tag] = _whole_numbers(values[:length], kind, form.order)
    return Directory(numbers, end), _unpack(entries[-inline:], form.order + form.place)


def _whole_numbers(values: bytes, kind: int, order: str) -> NDArray[np.int64]:
    if kind not in _WHOLE:
        raise DamagedTiffError("places or sizes are not whole numbers")
    found = np.frombuffer(values, order + _WHOLE[kind])
    if found.size and (int(found.max()) > _LARGEST or int(found.min()) < 0):
        raise DamagedTiffError("places or sizes are out of range")
    return found.astype(np.int64)


def _bytes(file: IO[bytes], place: int, length: int, size: int) -> bytes:
    # Checked before reading: a damaged length must not take the memory of the machine.
    if place + length > size:
        raise DamagedTiffError("a directory refers to what lies behind the end of the file")
    file.seek(place)
    return file.read(length)


def _unpack(values: bytes, form: str) -> int:
    return int(struct.unpack(form, values)[0])
