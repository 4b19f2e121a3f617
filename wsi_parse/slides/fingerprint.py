"""The fingerprint of a slide: the same content, moved elsewhere, keeps it; a change of the content changes it.

A file of up to 16 MB is hashed whole. Of a larger one, these are hashed: its size, both of its ends, a sample of 16 kB
in each of 512 equal parts, and of a TIFF the places and sizes of all stored tiles. A compressed tile that is replaced
nearly always has another size. What is not seen: a change of the same size in bytes that lies between all samples.
"""

import hashlib
from pathlib import Path
from typing import IO

from wsi_parse.slides.companions import companion_files
from wsi_parse.slides.tiff_tables import hash_tables

_WHOLE = 16 << 20
_END = 1 << 20
_SAMPLES, _SAMPLE = 512, 16 << 10
# Of a slide of many files, the content of the largest ones is sampled; of the others, names and sizes count.
_MAX_FILES = 64


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the size and of samples of a slide; names count where a slide has many files.

    Of a slide of several files (DICOM, MRXS, VMS, a folder), all files count.
    """
    if path.is_dir():
        sizes = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        return _of_files(sizes)
    files = companion_files(path)
    if len(files) <= _MAX_FILES:
        # The names of DICOM files may be others after each copy.
        return hashlib.sha256(b"".join(sorted(map(_sampled, files)))).hexdigest()
    return _of_files({"" if file == path else file.name: file for file in files})


def _of_files(files: dict[str, Path]) -> str:
    sizes = {name: file.stat().st_size for name, file in files.items()}
    digest = hashlib.sha256(repr(sorted(sizes.items())).encode("utf-8", "surrogateescape"))
    for name in sorted(sizes, key=lambda name: (-sizes[name], name))[:_MAX_FILES]:
        digest.update(_sampled(files[name]))
    return digest.hexdigest()


def _sampled(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read(_WHOLE))
            return digest.digest()
        for offset in _places(size):
            file.seek(offset)
            digest.update(file.read(_SAMPLE))
        for offset in (0, size - _END):
            file.seek(offset)
            digest.update(file.read(_END))
        _add_tables(digest, file)
    return digest.digest()


def _places(size: int) -> list[int]:
    """Return where samples begin: in the middle of equal parts."""
    part = size / _SAMPLES
    return [int((number + 0.5) * part) - _SAMPLE // 2 for number in range(_SAMPLES)]


def _add_tables(digest: "hashlib._Hash", file: IO[bytes]) -> None:
    for table in hash_tables(file):
        digest.update(table)
