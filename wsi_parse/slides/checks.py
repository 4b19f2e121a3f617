"""Checks before a slide is believed: not fluorescence; and its fingerprint."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_parse.errors import UnsupportedSlideError
from wsi_parse.slides.dicom import series_files

_PART = 1 << 20
# Median of the brightest channel. Of 90 H&E pictures at hand the darkest has 97; a DAPI slide has 22.
_DARK = 60
# What only bright-field has: glass, bright in all channels. Then the dark is filling, or pen.
_GLASS, _GLASS_SHARE = 180, 0.01
# Less than this of a picture says nothing.
_MIN_SHARE = 0.1


def fingerprint(path: Path) -> str:
    """Hash the size and both ends of a file; of a DICOM slide, of all files of its series."""
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


def check_brightfield(name: str, overview: NDArray[np.uint8]) -> None:
    """Refuse slides on a dark background: fluorescence is not H&E.

    Parameters
    ----------
    name : str
    overview : uint8 array (rows, columns, 3)
        A small picture of the whole slide.
    """
    # White is what was not scanned, or empty glass: neither tells how bright the rest is.
    looked = overview[(overview < 255).any(axis=2)]
    if len(looked) < _MIN_SHARE * overview.shape[0] * overview.shape[1]:
        return
    if np.median(looked.max(axis=1)) < _DARK and (looked.min(axis=1) > _GLASS).mean() < _GLASS_SHARE:
        raise UnsupportedSlideError(
            f"{name} has a dark background: it looks like fluorescence.",
            "Only bright-field (H&E) slides are processed.",
        )
