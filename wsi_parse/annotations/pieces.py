"""A file of text is read piece by piece, unpacked where it is packed."""

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from wsi_parse.errors import UsageError
from wsi_parse.files import CHECK_RIGHTS
from wsi_parse.gates import check_input

_PIECE = 1 << 22
# Text that people pack is at most some tens of times larger when it is unpacked.
_MAX_UNPACKED_RATIO, _ALWAYS_UNPACKED_BYTES = 100, 4_000_000
# The first bytes of what is packed, by the ending that its name must have.
_MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
_TEXTS = (".json", ".geojson")
#: What to do about a file that ends too early.
REPEAT = "Export the file again; writing or copying it may have been interrupted."


def pieces(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece; a name that ends in .gz or .zip is unpacked.

    Raises
    ------
    UsageError
        The file cannot be read, is packed with a password or in an unusual way, or a .zip does not contain exactly one
        GeoJSON file.
    """
    check_input(path, "a GeoJSON file", folder=True)
    if path.is_dir():
        raise UsageError(f"{path.name} is a folder, not a GeoJSON file.", "Give the GeoJSON files in the folder.")
    try:
        with ExitStack() as stack:
            _check_ending(path)
            packed = path.suffix.lower() in (".gz", ".zip")
            most = max(_ALWAYS_UNPACKED_BYTES, _MAX_UNPACKED_RATIO * path.stat().st_size) if packed else None
            file, count = _opened(path, stack), 0
            while piece := file.read(_PIECE):
                count += len(piece)
                if most is not None and count > most:
                    raise UsageError(
                        f"{path.name} is more than {_MAX_UNPACKED_RATIO} times as large when it is unpacked, which no "
                        "GeoJSON file is.",
                        "Check where the file comes from. If it is good, unpack it yourself and give the result.",
                    )
                yield piece
    except EOFError as error:
        raise UsageError(f"{path.name} is incomplete: {error}.", REPEAT) from error
    except (RuntimeError, NotImplementedError) as error:
        # zipfile knows no classes of its own for a password and for kinds of compression.
        reason = "it has a password" if "password" in str(error) else "it is packed in an unusual way"
        raise UsageError(f"{path.name} cannot be read: {reason}.", "Unpack it yourself and give the result.") from error
    except (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        remedy = CHECK_RIGHTS if isinstance(error, PermissionError) else "Give a GeoJSON file."
        raise UsageError(f"{path.name} cannot be read: {reason}.", remedy) from error


def _check_ending(path: Path) -> None:
    """Refuse a file that is packed although its name does not say so: QuPath would not read it either."""
    with path.open("rb") as file:
        begin = file.read(4)
    for ending, magic in _MAGIC.items():
        if begin.startswith(magic) and path.suffix.lower() != ending:
            raise UsageError(
                f"{path.name} is packed as a {ending} file, but its name does not end in {ending}.",
                f"Unpack it, or let its name end in .geojson{ending}.",
            )
    if path.suffix.lower() == ".gz" and begin.lstrip()[:1] in (b"{", b"["):
        raise UsageError(
            f"The name of {path.name} ends in .gz, but the file is not packed.", "Remove .gz from its name."
        )


def _opened(path: Path, stack: ExitStack) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return stack.enter_context(gzip.open(path))  # type: ignore[arg-type]
    if path.suffix.lower() != ".zip":
        return stack.enter_context(path.open("rb"))
    package = stack.enter_context(zipfile.ZipFile(path))
    names = [name for name in package.namelist() if name.lower().endswith(_TEXTS)]
    if len(names) != 1:
        raise UsageError(
            f"{path.name} contains {len(names)} GeoJSON files, but must contain one.",
            "Put a single GeoJSON file into it, or unpack it and give the files themselves.",
        )
    return stack.enter_context(package.open(names[0]))
