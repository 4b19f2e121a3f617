"""list_slides: the slides in the files and folders that a user gives."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wsi_parse.errors import SlideOpenError, UsageError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input
from wsi_parse.registry import READERS
from wsi_parse.slides.base import Reader, claims, has_ending
from wsi_parse.slides.dicom_series import series_of

# Slides of these formats consist of picture files beside them, which are no slides of their own.
_WITH_PICTURES_BESIDE = (".vms", ".vmu")
_PICTURES = (".png", ".jpg", ".jpeg")

logger = logging.getLogger(__name__)


def list_slides(paths: Iterable[str | Path]) -> list[Path]:
    """Replace folders by the slides in them.

    Parameters
    ----------
    paths : paths of files and folders
        A file is taken as it is, and a folder that a reader claims as one slide. From any other folder, files with the
        endings of the readers are taken in sorted order, subfolders that are one slide, and the DICOM files of other
        subfolders.

    Returns
    -------
    list of Path
        Each slide once, even if several paths, or several files of one DICOM series, lead to it.

    Raises
    ------
    SlideOpenError
        A path does not exist, or cannot be read.
    UsageError
        A folder contains no slide.
    """
    readers, warnings = READERS.usable()
    for warning in warnings:
        logger.warning("%s", warning)
    found: dict[object, Path] = {}
    for path in map(Path, paths):
        for slide in _slides_at(path, readers):
            found.setdefault(_identity(slide), slide)
    return list(found.values())


def _slides_at(path: Path, readers: Mapping[str, type[Reader]]) -> list[Path]:
    check_input(path, "a slide", error=SlideOpenError, folder=True)
    try:
        if not path.is_dir() or _is_slide(path, readers) or path.suffix.lower() == ".zarr":
            # Opening a folder that ends in .zarr says why it is not a slide.
            return [path]
        return _slides_of_folder(path, readers)
    except SlideOpenError:
        raise
    except OSError as error:
        raise SlideOpenError(f"{path} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _slides_of_folder(folder: Path, readers: Mapping[str, type[Reader]]) -> list[Path]:
    endings = tuple(dict.fromkeys(ending for reader in readers.values() for ending in reader.suffixes))
    inside = _with_endings(folder, endings)
    if any(has_ending(file, _WITH_PICTURES_BESIDE) for file in inside):
        inside = [file for file in inside if not has_ending(file, _PICTURES)]
    closed: dict[Path, OSError] = {}
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            inside += [subfolder] if _is_slide(subfolder, readers) else _with_endings(subfolder, (".dcm",))
        except OSError as error:
            closed[subfolder] = error
    if not inside:
        if closed:
            # There may be slides in it.
            raise next(iter(closed.values()))
        raise UsageError(
            f"The folder {folder} contains no slide.",
            f"Give a folder with files that end in one of: {' '.join(endings)}",
        )
    for subfolder, reason in closed.items():
        logger.warning("The folder %s is left out: %s.", subfolder, reason.strerror or reason)
    return inside


def _is_slide(folder: Path, readers: Mapping[str, type[Reader]]) -> bool:
    """Return whether a folder is one slide: a reader says so."""
    claiming, failures = claims(folder, readers)
    for failure in failures:
        logger.warning("%s", failure)
    return bool(claiming)


def _with_endings(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    # Names with a leading dot are hidden files, such as those that macOS leaves on network drives. What is neither file
    # nor folder, such as a link that leads nowhere, is listed: it fails when it is opened, and is not lost.
    return sorted(
        file
        for file in folder.iterdir()
        if has_ending(file, endings) and not file.name.startswith(".") and not file.is_dir()
    )


def _identity(file: Path) -> object:
    # Links that lead to themselves are no error here.
    resolved = Path(os.path.realpath(file))
    try:
        series = series_of(resolved) if resolved.is_file() else None
    except OSError:
        # The reader that opens the file later reports why it cannot be read.
        series = None
    return resolved if series is None else (resolved.parent, series)
