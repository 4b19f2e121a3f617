"""Thumbnails: small pictures of the overlays of a cohort; kept, so that each overlay is opened once."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from wsi_parse.errors import UsageError
from wsi_parse.files import atomic
from wsi_parse.gates import check_input

# All thumbnails of a page together.
_BUDGET_BYTES = 15_000_000
# Longer side and quality, tried one after another; smaller ones are no use.
_TRIES = ((320, 78), (240, 72), (200, 60), (160, 50), (120, 40))
_MIN_BYTES = 1_500
_MAX_OVERLAY_BYTES = 200_000_000
_MAX_OVERLAY_PX = 8192 * 8192


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Parameters
    ----------
    width, height : int
        In pixels.
    jpeg : str
        The picture, base64.
    """

    width: int
    height: int
    jpeg: str


def bytes_each(count: int) -> int:
    """Return how large one of many thumbnails may be; 0 if there are too many to show any.

    >>> bytes_each(10), bytes_each(1000), bytes_each(20_000)
    (40000, 10000, 0)
    """
    # It halves, so that it seldom changes while a cohort grows. Base64 makes four letters of three bytes.
    each = 40_000
    while each * count > _BUDGET_BYTES * 3 // 4:
        each //= 2
    return each if each >= _MIN_BYTES else 0


def thumbnail_of(overlay: Path, kept: Path, max_bytes: int) -> Thumbnail | None:
    """Return the thumbnail of an overlay, as it was kept or made anew.

    Parameters
    ----------
    overlay : Path
    kept : Path
        A folder of ours for this slide; the file in it is named by time and size of the overlay, and by `max_bytes`.
    max_bytes : int
        How large the picture may be.

    Returns
    -------
    Thumbnail or None
        None if there is no overlay, or it cannot be read as one.
    """
    try:
        status = check_input(overlay, "an overlay", max_bytes=_MAX_OVERLAY_BYTES).stat()
        path = kept / f"{status.st_mtime_ns}-{status.st_size}-{max_bytes}.jpg"
        if path.is_file():
            content = path.read_bytes()
        else:
            content = _small(overlay, max_bytes)
            kept.mkdir(parents=True, exist_ok=True)
            for old in kept.glob("*.jpg"):
                old.unlink(missing_ok=True)
            with atomic(path) as temporary:
                temporary.write_bytes(content)
        with Image.open(BytesIO(content), formats=["JPEG"]) as picture:
            return Thumbnail(*picture.size, b64encode(content).decode())
    except (UsageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # A page without this picture is still a page.
        return None


def _small(overlay: Path, max_bytes: int) -> bytes:
    with Image.open(overlay, formats=["PNG"]) as opened:
        if opened.width * opened.height > _MAX_OVERLAY_PX:
            raise ValueError("too large")
        # In whole steps first: faster, and as smooth at this size.
        picture = opened.convert("RGB")
        picture = picture.reduce(max(1, max(picture.size) // (2 * _TRIES[0][0])))
    for side, quality in _TRIES:
        smaller, buffer = picture.copy(), BytesIO()
        smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
        smaller.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= max_bytes:
            break
    else:
        raise ValueError("not small enough")
    return buffer.getvalue()
