"""The first bytes of a file, by which formats are recognised."""

from pathlib import Path

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file; none for a folder."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(count)


def is_tiff(path: Path) -> bool:
    """Return whether a file starts as a TIFF or BigTIFF does."""
    return first_bytes(path, 4) in _TIFF
