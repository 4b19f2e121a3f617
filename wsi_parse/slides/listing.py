"""From what a user names, files and folders, to slides."""

from collections.abc import Iterable
from pathlib import Path

from wsi_parse.errors import SlideOpenError, UsageError
from wsi_parse.slides.dicom import series_of

SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi", ".dcm")
PICTURES = (".png", ".jpg", ".jpeg")
# These come with JPEG files of their own beside them.
_OF_PICTURES = (".vms", ".vmu")


def list_slides(paths: Iterable[str | Path]) -> list[Path]:
    """Expand folders to the slides in them.

    Parameters
    ----------
    paths : paths of files and folders
        A file is taken as it is. Of a folder: its files of known endings, sorted, and its folders of DICOM files.

    Returns
    -------
    list of Path
        Each slide once, also where several paths, or several files of one DICOM series, lead to it.

    Raises
    ------
    SlideOpenError
        Where a path does not exist.
    UsageError
        Where a folder holds no slide.
    """
    found: dict[object, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise SlideOpenError(f"There is no file {path}.", "Check the path.")
        for file in _slides_of_folder(path) if path.is_dir() and path.suffix.lower() != ".zarr" else [path]:
            found.setdefault(_identity(file), file)
    return list(found.values())


def _slides_of_folder(folder: Path) -> list[Path]:
    inside = _with_endings(folder, SUFFIXES)
    if not any(file.suffix.lower() in _OF_PICTURES for file in inside):
        inside = sorted([*inside, *_with_endings(folder, PICTURES)])
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        inside += _with_endings(below, (".dcm",))
    if not inside:
        raise UsageError(f"No slide lies in {folder}.", f"Known endings: {' '.join(SUFFIXES + PICTURES)}")
    return inside


def _with_endings(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    # A leading dot: hidden, among them the shadows that macOS leaves on network drives.
    files = (file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith("."))
    return sorted(file for file in files if file.is_file())


def _identity(file: Path) -> object:
    place = file.resolve()
    try:
        series = series_of(place) if place.is_file() else None
    except OSError:
        # Whoever opens it will say why it cannot be read.
        series = None
    return place if series is None else (place.parent, series)
