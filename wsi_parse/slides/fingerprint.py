"""The fingerprint of a slide: the same file, moved elsewhere, keeps it."""

import hashlib
from pathlib import Path

from wsi_parse.slides.dicom_series import series_files

_PART = 1 << 20


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the size and both ends of a file; for a DICOM slide, of all files of its series."""
    parts = sorted(_ends(file) for file in series_files(path))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _ends(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_PART))
        file.seek(max(0, size - _PART))
        digest.update(file.read(_PART))
    return digest.digest()
