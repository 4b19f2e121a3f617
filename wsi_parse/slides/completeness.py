"""The check that a file is complete: what its directories refer to ends inside the file. Tiles are not decoded."""

from pathlib import Path
from typing import IO

from wsi_parse.errors import SlideOpenError
from wsi_parse.slides.dicom_series import is_dicom
from wsi_parse.slides.tiff_tables import TILE_LENGTH, TILE_WIDTH, DamagedTiffError, Directory, directories

_FOUR_GIB = 1 << 32
# OpenSlide ends the whole process if it cannot allocate the memory of a tile.
_MAX_TILE_PX = 1 << 15
# The end of encapsulated pixels in DICOM (part 5, annex A.4); little follows it.
_DICOM_END, _TAIL = b"\xfe\xff\xdd\xe0\0\0\0\0", 1 << 16
_ENCAPSULATED = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


def check_whole(path: Path, *, may_lack_tiles: bool = False) -> None:
    """Refuse a TIFF or DICOM file whose end is missing, because a reader may open it with fewer levels and say nothing.

    Parameters
    ----------
    path : Path
    may_lack_tiles : bool
        Whether stored tiles may be missing at the end: they are unreadable then. Directories must be there.

    Raises
    ------
    SlideOpenError
        The file is truncated, or its directories are damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if is_dicom(path):
            if not may_lack_tiles and _lacks_end(file, size):
                raise _truncated(path, "its end is missing", _OR_SKIP)
            return
        # NDPI files of 4 GiB and more store offsets of 64 bits in their own way.
        if path.suffix.lower() == ".ndpi" and size >= _FOUR_GIB:
            return
        try:
            ends = [_check(directory, size) for directory in directories(file)]
        except _SizeError as error:
            raise _truncated(path, str(error)) from error
        except DamagedTiffError as error:
            raise _truncated(path, f"its end is missing or its directories are invalid ({error})") from error
    if ends and max(ends) > size and not may_lack_tiles:
        raise _truncated(path, "its end is missing, or the places of its stored tiles are invalid", _OR_SKIP)


class _SizeError(ValueError):
    """An image is not as large as its header claims, or larger."""

    def __init__(self, width: int, height: int, stored: int, needed: int) -> None:
        super().__init__(
            f"an image claims to have {width:,} x {height:,} pixels, which takes {needed:,} stored tiles or strips, "
            f"but the file has {stored:,}"
        )


def _check(directory: Directory, size: int) -> int:
    """Return where the last stored tile of a directory ends; its own values must be there."""
    if directory.end > size:
        raise DamagedTiffError("a directory refers to what lies behind the end of the file")
    for tag in (TILE_WIDTH, TILE_LENGTH):
        if (directory.of(tag) > _MAX_TILE_PX).any():
            raise DamagedTiffError("its tiles are too large")
    if lacking := directory.lacking:
        raise _SizeError(*directory.size, *lacking)
    return max((int((places + sizes).max(initial=0)) for places, sizes in directory.stored), default=0)


def _lacks_end(file: IO[bytes], size: int) -> bool:
    """Return whether the compressed pixels of a DICOM file are not closed."""
    if _ENCAPSULATED not in file.read(1 << 20):
        return False
    file.seek(max(0, size - _TAIL))
    return _DICOM_END not in file.read(_TAIL)


_OR_SKIP = " Or add --set slide.skip_unreadable=true: what is missing is then left out and counted."


def _truncated(path: Path, reason: str, or_else: str = "") -> SlideOpenError:
    return SlideOpenError(f"{path.name} is damaged: {reason}.", f"Copy it again from its source.{or_else}")
