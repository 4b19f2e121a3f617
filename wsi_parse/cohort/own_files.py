"""replace_own and remove_own: files that are written again and again; what a person made of one is kept aside."""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from wsi_parse.files import atomic, file_sha256
from wsi_parse.gates import keep_aside

# Marks that are older are removed.
_STAMP_SECONDS = 3600.0


def replace_own(path: Path, content: bytes, marks: Path) -> str:
    """Write a file whole or not at all; one of that name that we did not write is renamed before.

    Parameters
    ----------
    path : Path
    content : bytes
    marks : Path
        A folder of ours. It holds an empty file, named by the hash, for each content that may stand at `path`: the mark
        is made before the content is, so that several processes can write the same file.

    Returns
    -------
    str
        What the user should know; empty if nothing was kept aside.

    Raises
    ------
    OSError
        It cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path, marks = Path(folder, "table.csv"), Path(folder, "marks")
    ...     notes = [replace_own(path, content, marks) for content in (b"1", b"2")]
    ...     _ = path.write_bytes(b"2 and a remark")
    ...     notes.append(replace_own(path, b"3", marks))
    ...     len(list(Path(folder).glob("table*"))), path.read_bytes()
    (2, b'3')
    >>> notes[:2], notes[2].partition(" as ")[0]
    (['', ''], 'table.csv was changed since it was written, or is not from here; it is kept')
    """
    marks.mkdir(parents=True, exist_ok=True)
    new, note = _stamp(marks, path, hashlib.sha256(content).hexdigest()), ""
    if path.is_symlink() or path.exists():
        found = _stamp_of(path, marks)
        if found == new:
            return ""
        if found is None:
            kept = keep_aside(path)
            note = f"{path.name} was changed since it was written, or is not from here; it is kept as {kept.name}."
    new.touch()
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    for mark in marks.glob(f"{new.stem}.*"):
        # A younger one may be that of another process, which is about to write.
        with suppress(FileNotFoundError):
            if time.time() - mark.stat().st_mtime > _STAMP_SECONDS and mark != new:
                mark.unlink()
    return note


def remove_own(path: Path, marks: Path) -> None:
    """Remove a file that is as we wrote it; what a person made of it stays.

    Parameters
    ----------
    path : Path
    marks : Path
        As in :func:`replace_own`.
    """
    if path.is_file() and not path.is_symlink() and _stamp_of(path, marks) is not None:
        path.unlink()


def _stamp(marks: Path, path: Path, content_hash: str) -> Path:
    # Without the file's own ending: programs that look for files by their names, such as MultiQC, do not find marks.
    return marks / f"{path.name.replace('.', '-')}.{content_hash[:32]}"


def _stamp_of(path: Path, marks: Path) -> Path | None:
    """Return the mark of what stands at a path; None if it is not ours."""
    before = ""
    while path.is_file() and not path.is_symlink():
        content_hash = file_sha256(path)
        mark = _stamp(marks, path, content_hash)
        if mark.exists():
            return mark
        if content_hash == before:
            return None
        # Another process may have replaced it, and removed the mark, since it was read.
        before = content_hash
    return None
