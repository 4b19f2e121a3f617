"""list_slides: the slides in the files and folders that a user gives."""

from collections.abc import Iterable
from pathlib import Path

from wsi_parse.errors import SlideOpenError, UsageError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.slides.dicom_series import series_of

SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi", ".dcm")
PICTURES = (".png", ".jpg", ".jpeg")
# Slides of these formats consist of JPEG files beside them.
_WITH_JPEG_PARTS = (".vms", ".vmu")


def list_slides(paths: Iterable[str | Path]) -> list[Path]:
    """Replace folders by the slides in them.

    Parameters
    ----------
    paths : paths of files and folders
        A file is taken as it is. From a folder, files with known endings are taken in sorted order, and the DICOM
        files of its subfolders.

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
    found: dict[object, Path] = {}
    for path in map(Path, paths):
        for file in _slides_at(path):
            found.setdefault(_identity(file), file)
    return list(found.values())


def _slides_at(path: Path) -> list[Path]:
    try:
        if not path.exists():
            raise SlideOpenError(f"There is no file {path}.", "Check the path.")
        return _slides_of_folder(path) if path.is_dir() and path.suffix.lower() != ".zarr" else [path]
    except SlideOpenError:
        raise
    except OSError as error:
        raise SlideOpenError(f"{path} cannot be read: {error.strerror or error}.", CHECK_RIGHTS) from error


def _slides_of_folder(folder: Path) -> list[Path]:
    inside = _with_endings(folder, SUFFIXES)
    if not any(file.suffix.lower() in _WITH_JPEG_PARTS for file in inside):
        inside = sorted([*inside, *_with_endings(folder, PICTURES)])
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        inside += _with_endings(subfolder, (".dcm",))
    if not inside:
        raise UsageError(
            f"The folder {folder} contains no slide.",
            f"Give a folder with files that end in one of: {' '.join(SUFFIXES + PICTURES)}",
        )
    return inside


def _with_endings(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    # Names with a leading dot are hidden files, such as those that macOS leaves on network drives.
    files = (file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith("."))
    return sorted(file for file in files if file.is_file())


def _identity(file: Path) -> object:
    resolved = file.resolve()
    try:
        series = series_of(resolved) if resolved.is_file() else None
    except OSError:
        # The reader that opens the file later reports why it cannot be read.
        series = None
    return resolved if series is None else (resolved.parent, series)
