"""The files that belong to a slide: of DICOM its series, of MRXS and VMS what lies beside the file that is opened."""

import os
import stat
from pathlib import Path

from wsi_parse.errors import SlideOpenError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input, exists
from wsi_parse.slides.base import has_ending
from wsi_parse.slides.dicom_series import is_dicom, series_files

# The list of files of a Hamamatsu VMS or VMU is a text of a few kilobytes.
_MAX_LIST_BYTES = 1 << 20
_LISTS = (".vms", ".vmu")


def companion_files(path: Path) -> list[Path]:
    """Return all files of the slide that is opened by `path`, which is one of them; sorted."""
    if has_ending(path, (".mrxs",)):
        return sorted({path, *_regular_files(path.with_suffix(""))})
    if has_ending(path, _LISTS):
        return sorted({path, *filter(Path.is_file, _listed(path))})
    return series_files(path)


def check_companions(path: Path) -> None:
    """Check what a reader opens beside a file: whatever lies there, nothing must wait for ever or be left out silently.

    Raises
    ------
    SlideOpenError
        A file of the slide cannot be read, or is a pipe, a socket or a device.
    """
    if has_ending(path, (".mrxs",)):
        beside = list(_inside(path.with_suffix("")))
    elif has_ending(path, _LISTS):
        beside = list(filter(exists, _listed(path)))
    elif is_dicom(path):
        # OpenSlide opens every file of the folder to see whether it belongs to the series.
        beside = [file for file in _inside(path.parent) if _is_special(file) or has_ending(file, (".dcm", ".dicom"))]
    else:
        return
    for file in beside:
        if exists(file) and not file.is_dir():
            check_input(file, f"a file of the slide {path.name}", error=SlideOpenError)


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise SlideOpenError(f"{folder} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _regular_files(folder: Path) -> list[Path]:
    return [file for file in _inside(folder) if file.is_file()]


def _listed(path: Path) -> list[Path]:
    """Return the files that a VMS or VMU names, which lie beside it."""
    with path.open("rb") as file:
        lines = file.read(_MAX_LIST_BYTES).decode("utf-8", "replace").splitlines()
    values = (line.partition("=")[2].strip() for line in lines)
    return [path.with_name(value) for value in values if value and value not in (".", "..") and os.sep not in value]


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
