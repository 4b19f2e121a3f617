"""The fingerprint of a slide: the same file or folder, moved elsewhere, keeps it."""

import hashlib
from pathlib import Path

from wsi_parse.slides.dicom_series import series_files

_PART = 1 << 20
# Of a folder with many files, the content of the largest ones is enough to tell it from another.
_MAX_FILES = 16


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the size and both ends of a file; for a DICOM slide, of all files of its series.

    For a folder, that of the names and sizes of all files in it, and of both ends of the largest ones.
    """
    if path.is_dir():
        return _of_folder(path)
    parts = sorted(_ends(file) for file in series_files(path))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _of_folder(folder: Path) -> str:
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    digest = hashlib.sha256(repr(sorted(sizes.items())).encode())
    for name in sorted(sizes, key=lambda name: (-sizes[name], name))[:_MAX_FILES]:
        digest.update(_ends(folder / name))
    return digest.hexdigest()


def _ends(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_PART))
        file.seek(max(0, size - _PART))
        digest.update(file.read(_PART))
    return digest.digest()
