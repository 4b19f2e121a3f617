"""The first bytes of a file, by which formats are recognised."""

from pathlib import Path

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Formats that people take for slides: where in the file they have which bytes.
_NOT_SUPPORTED = (
    *(("GIF", 0, b"GIF8"), ("WebP", 8, b"WEBP"), ("BMP", 0, b"BM"), ("PDF", 0, b"%PDF"), ("Photoshop", 0, b"8BPS")),
    *(("JPEG 2000", 4, b"jP  \r\n"), ("JPEG 2000", 0, b"\xff\x4f\xff\x51"), ("JPEG XL", 4, b"JXL ")),
    *(("HEIF", 4, b"ftyphei"), ("HEIF", 4, b"ftypmif"), ("AVIF", 4, b"ftypavif")),
)


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file; none for a folder."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(count)


def is_tiff(path: Path) -> bool:
    """Return whether a file starts as a TIFF or BigTIFF does."""
    return first_bytes(path, 4) in _TIFF


def unsupported_format(path: Path) -> str:
    """Return the name of a format of pictures that no reader of ours opens; empty for all others."""
    head = first_bytes(path, 16)
    return next((name for name, place, start in _NOT_SUPPORTED if head[place:].startswith(start)), "")
