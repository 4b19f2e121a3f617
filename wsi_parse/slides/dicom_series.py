"""The files of one DICOM slide: those in a folder that name the same series. Of pixels, at most the first are seen."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from wsi_parse.slides.signatures import first_bytes

_HEAD_BYTES = 1 << 20
_PREAMBLE = 128
_SERIES = (0x0020, 0x000E)
_TRANSFER_SYNTAX = (0x0002, 0x0010)
_PHOTOMETRIC, _PIXELS = (0x0028, 0x0004), (0x7FE0, 0x0010)
_IMPLICIT, _DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UT", b"UN", b"UC", b"UR", b"SV", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM does."""
    return first_bytes(path, _PREAMBLE + 4)[_PREAMBLE:] == b"DICM"


def series_of(path: Path) -> str | None:
    """Return the SeriesInstanceUID of a DICOM file; None for any other file."""
    if not is_dicom(path):
        return None
    head = first_bytes(path, _HEAD_BYTES)
    try:
        return next((text_of(value) for tag, value in _Header(head).values(_SERIES) if tag == _SERIES), None)
    except (struct.error, RecursionError):
        return None


def pixels_of(path: Path) -> tuple[str, bytes] | None:
    """Return what a DICOM file says of its colours (PhotometricInterpretation), and the first bytes of its pixels.

    Returns
    -------
    (str, bytes) or None
        None for any other file, or if its header is longer than what is read of it.
    """
    if not is_dicom(path):
        return None
    photometric = ""
    try:
        for tag, value in _Header(first_bytes(path, _HEAD_BYTES)).values(_PIXELS):
            if tag == _PHOTOMETRIC:
                photometric = text_of(value)
            if tag == _PIXELS:
                return photometric, value
    except (struct.error, RecursionError):
        return None
    return None


def text_of(value: bytes) -> str:
    """Return a value as text, without its padding."""
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def series_files(path: Path) -> list[Path]:
    """Return all files of the DICOM slide that `path` belongs to, sorted; only `path` if it is not a DICOM file."""
    series = series_of(path)
    if series is None:
        return [path]
    others = (file for file in path.parent.iterdir() if file != path and _is_readable(file))
    return sorted([path, *(file for file in others if series_of(file) == series)])


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


class _Header:
    """Walks over the elements of a header, as in DICOM part 5, section 7."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._offset = _PREAMBLE + 4
        self._explicit = True

    def values(self, last: tuple[int, int]) -> Iterator[tuple[tuple[int, int], bytes]]:
        """Yield tags with their values (as far as they were read) up to a tag, in the order of the file."""
        syntax = ""
        while self._offset < len(self._head):
            if self._tag()[0] > 2 and syntax:
                if syntax in (_DEFLATED, _BIG_ENDIAN):
                    return
                self._explicit, syntax = syntax != _IMPLICIT, ""
            tag, length = self._element()
            if tag > last:
                return
            value = self._head[self._offset : self._offset + length]
            if tag == _TRANSFER_SYNTAX:
                syntax = text_of(value)
            yield tag, value
            if tag == last:
                return
            self._skip(length)

    def _unpack(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self._head, self._offset)
        self._offset += struct.calcsize(form)
        return values

    def _tag(self) -> tuple[int, int]:
        group, element = struct.unpack_from("<HH", self._head, self._offset)
        return group, element

    def _element(self) -> tuple[tuple[int, int], int]:
        tag = self._tag()
        self._offset += 4
        if not self._explicit or tag[0] == _ITEM[0]:
            return tag, self._unpack("<I")[0]
        kind = self._head[self._offset : self._offset + 2]
        self._offset += 2
        return tag, self._unpack("<xxI" if kind in _LONG else "<H")[0]

    def _skip(self, length: int) -> None:
        """Move behind a value; a value without a length is a sequence of items."""
        if length != _UNDEFINED:
            self._offset += length
            return
        while True:
            tag, length = self._element()
            if tag in (_ITEM_END, _SEQUENCE_END):
                return
            self._skip(length)
