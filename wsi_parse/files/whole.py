"""Files and folders that appear whole or not at all (temporary name, fsync, rename), and hashes."""

import hashlib
import os
import re
import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsi_parse.errors import UsageError

#: What to do where the system refuses to read.
CHECK_RIGHTS = "Check the path, and whether you have permission to read it."


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` when the body succeeds; else remove it.

    The body creates a file or a folder at the temporary path. A folder that is replaced is missing for the moment
    between two renames.

    Raises
    ------
    OSError
        The file cannot be written, or a file would replace a folder.
    """
    temporary = path.with_name(f".{path.name}.{_this_process()}.part")
    try:
        yield temporary
        _sync(temporary)
        move(temporary, path)
    finally:
        remove(temporary)


def move(source: Path, target: Path) -> None:
    """Give a whole file or folder another name in the same file system; what has that name is replaced.

    Raises
    ------
    OSError
        It cannot be moved, or a file would replace a folder.
    """
    earlier = target.with_name(f".{target.name}.{_this_process()}.earlier.part")
    try:
        # Only a folder may replace a folder; for a file, `replace` below raises.
        if source.is_dir() and target.is_dir():
            target.replace(earlier)
        source.replace(target)
        sync_folder(target.parent)
    finally:
        remove(earlier)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents; a path that does not exist is ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_parts(folder: Path, names: Collection[str]) -> None:
    """Remove what :func:`atomic` and :func:`move` left in a folder when a process was killed.

    Parameters
    ----------
    folder : Path
        In which no process writes now.
    names : collection of str
        Of the files and folders that we write there: anything else is not ours, whatever it is called.
    """
    ours = [re.compile(rf"\.{re.escape(name)}\.[^/]+-[0-9]+(\.earlier)?\.part") for name in names]
    for path in folder.glob(".*.part"):
        if any(form.fullmatch(path.name) for form in ours):
            remove(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_can_be_folder(folder: Path) -> None:
    """Refuse a folder for results that can neither be used nor created; nothing is written.

    Raises
    ------
    UsageError
        It, or what it would lie in, is a file, or nothing may be written there.
    """
    nearest = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path())
    remedy = "Choose another folder with --out."
    if folder.is_symlink() and not folder.exists():
        raise UsageError(f"The results cannot be written to {folder}: it is a link to nothing.", remedy)
    if not nearest.is_dir():
        raise UsageError(f"The results cannot be written to {folder}: {nearest} is a file, not a folder.", remedy)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"The results cannot be written to {folder}: {nearest} is not writable.", remedy)


def try_writing(folder: Path) -> None:
    """Create a file in a folder and remove it again; raises OSError if the folder is not writable."""
    trial = folder / f".trial-{_this_process()}"
    trial.touch()
    trial.unlink(missing_ok=True)


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what tells, without reading it, whether a file is still the one that it was; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text; raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    if not path.is_dir():
        return file_sha256(path)
    lines = [f"{file_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in _files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _sync(path: Path) -> None:
    for file in _files(path) if path.is_dir() else [path]:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, if the system supports that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except (OSError, PermissionError):
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def _this_process() -> str:
    """Return a name of this process; it includes the host, because hosts that share a folder may use equal numbers."""
    return f"{socket.gethostname()}-{os.getpid()}"
