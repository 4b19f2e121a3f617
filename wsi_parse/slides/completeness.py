"""The check that a TIFF is complete: its directories, their values and its stored tiles all end inside the file."""

import struct
from pathlib import Path
from typing import IO, NamedTuple

from wsi_parse.errors import SlideOpenError

_FOUR_GIB = 1 << 32


def check_whole(path: Path) -> None:
    """Refuse a TIFF whose end is missing, because a reader may open it with fewer levels and report nothing.

    All directories, their values and their stored tiles are followed to see whether they end inside the file.

    Raises
    ------
    SlideOpenError
        The file is truncated, or its directories are damaged.
    """
    size = path.stat().st_size
    # NDPI files of 4 GiB and more store offsets of 64 bits in their own way.
    if path.suffix.lower() == ".ndpi" and size >= _FOUR_GIB:
        return
    with path.open("rb") as file:
        form = _tiff_form(file)
        if form is None:
            return
        open_offsets, seen = [form.first], set[int]()
        while open_offsets:
            offset = open_offsets.pop()
            if offset and offset not in seen:
                seen.add(offset)
                following, end = _read_directory(file, form, offset)
                if end > size:
                    raise _truncated(path)
                open_offsets += following


class _Form(NamedTuple):
    """How a TIFF writes numbers: `struct` formats of a count of entries and of an offset, and bytes per entry."""

    number: str
    offset: str
    entry: int
    first: int


_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SUB_DIRECTORIES, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 330, 273, 279, 324, 325
_FOLLOWED = (_SUB_DIRECTORIES, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, _TILE_WIDTH, _TILE_LENGTH)
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_TYPES |= {13: "I", 16: "Q", 17: "q", 18: "Q"}
_NOWHERE = 1 << 63
# Directories of slides have about 30 entries; a damaged count must not make us read millions.
_MAX_ENTRIES = 4096
# OpenSlide ends the whole process if it cannot allocate the memory of a tile.
_MAX_TILE_PX = 1 << 15


def _tiff_form(file: IO[bytes]) -> _Form | None:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return None
    version = struct.unpack(order + "H", head[2:4])[0]
    if version == 42:
        return _Form(order + "H", order + "I", 12, struct.unpack(order + "I", head[4:8])[0])
    if version == 43:
        return _Form(order + "Q", order + "Q", 20, struct.unpack(order + "Q", head[8:16])[0])
    return None


def _read_directory(file: IO[bytes], form: _Form, offset: int) -> tuple[list[int], int]:
    """Return the offsets of the directories that follow, and the end of everything that this one refers to."""
    try:
        count = _unpack(file, offset, form.number)[0]
        if count > _MAX_ENTRIES:
            return [], _NOWHERE
        start = offset + struct.calcsize(form.number)
        arrays, end = {}, start + count * form.entry
        for index in range(count):
            entry = start + index * form.entry
            tag, kind = _unpack(file, entry, form.offset[0] + "HH")
            number = _unpack(file, entry + 4, form.offset)[0]
            letters = _TYPES.get(kind, "B")
            length = struct.calcsize(form.offset[0] + letters) * number
            value = entry + 4 + struct.calcsize(form.offset)
            if length > struct.calcsize(form.offset):
                value = _unpack(file, value, form.offset)[0]
                end = max(end, value + length)
            if tag in _FOLLOWED:
                arrays[tag] = _unpack(file, value, f"{form.offset[0]}{number}{letters}")
        if max([0, *arrays.get(_TILE_WIDTH, ()), *arrays.get(_TILE_LENGTH, ())]) > _MAX_TILE_PX:
            return [], _NOWHERE
        following = [*arrays.get(_SUB_DIRECTORIES, ()), _unpack(file, start + count * form.entry, form.offset)[0]]
    except (struct.error, OverflowError, OSError, ValueError, MemoryError):
        return [], _NOWHERE
    for offsets, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        parts = zip(arrays.get(offsets, ()), arrays.get(sizes, ()), strict=False)
        end = max([end, *(start + length for start, length in parts)])
    return following, end


def _unpack(file: IO[bytes], offset: int, form: str) -> tuple[int, ...]:
    file.seek(offset)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _truncated(path: Path) -> SlideOpenError:
    return SlideOpenError(
        f"{path.name} is damaged: its end is missing or its directories are invalid.", "Copy it again from its source."
    )
