"""Colours of DICOM that are stored as YCbCr although the header says otherwise: the compressed pixels tell.

OpenSlide believes PhotometricInterpretation. JPEG 2000 undoes a colour transform only where the codestream has one
(ISO/IEC 15444-1, A.6.1); of JPEG, the Adobe and JFIF markers tell (ITU-T T.872, 6.5.3). What they tell is believed only
where the pixels agree: empty glass and pale tissue have no chroma.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi_parse.slides.dicom_series import pixels_of, series_files

_JPEG2000, _CODING_STYLE, _TILE_BEGINS = b"\xff\x4f\xff\x51", 0xFF52, 0xFF90
_JPEG, _ADOBE, _JFIF, _SCAN_BEGINS = b"\xff\xd8\xff", 0xFFEE, 0xFFE0, 0xFFDA
_GREY, _NEAR_GREY = 128, 12
_BRIGHT_SHARE, _MIN_PIXELS = 0.2, 16


def may_be_ycbcr(path: Path) -> bool:
    """Return whether a DICOM slide has an image that is YCbCr by its compressed pixels, and is not by its header."""
    return any(_disagree(*found) for file in series_files(path) if (found := pixels_of(file)) is not None)


def look_like_ycbcr(pixels: NDArray[np.uint8]) -> bool:
    """Return whether the brightest pixels (rows, columns, 3) are grey if the second and third band are chroma."""
    bands = pixels.reshape(-1, 3)
    bands = bands[(bands < 255).any(axis=1)]
    if len(bands) < _MIN_PIXELS:
        return False
    bright = bands[bands[:, 0] >= np.quantile(bands[:, 0], 1 - _BRIGHT_SHARE)]
    return bool((np.abs(np.median(bright[:, 1:], axis=0) - _GREY) <= _NEAR_GREY).all())


def to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert YCbCr (rows, columns, 3) to RGB."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "YCbCr").convert("RGB"))


def _disagree(photometric: str, pixels: bytes) -> bool:
    if (start := pixels.find(_JPEG2000)) >= 0:
        return photometric.startswith("YBR_") and _has_transform(pixels[start:]) is False
    start = pixels.find(_JPEG)
    return start >= 0 and photometric == "RGB" and _is_ycbcr(pixels[start:])


def _has_transform(codestream: bytes) -> bool | None:
    """Return whether a JPEG 2000 codestream has a transform of colours; None if it does not say."""
    for marker, content in _segments(codestream):
        if marker == _CODING_STYLE and len(content) > 4:
            # Style, progression, layers (2 bytes), transform.
            return content[4] == 1
        if marker >= _TILE_BEGINS and marker < 0xFFA0:
            return None
    return None


def _is_ycbcr(stream: bytes) -> bool:
    """Return whether the markers of a JPEG say that it is YCbCr: Adobe's decides before JFIF."""
    found = dict(_segments(stream))
    adobe = found.get(_ADOBE, b"")
    if adobe.startswith(b"Adobe") and len(adobe) >= 12:
        return adobe[11] == 1
    return found.get(_JFIF, b"").startswith(b"JFIF")


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """Return the marker segments at the beginning of a JPEG or JPEG 2000 stream, up to its compressed pixels."""
    found, offset = [], 2
    while offset + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, offset)
        if marker < 0xFF00 or length < 2:
            break
        found.append((marker, stream[offset + 4 : offset + 2 + length]))
        if marker == _SCAN_BEGINS:
            break
        offset += 2 + length
    return found
