"""Outputs appear whole or not at all: a temporary name, fsync, rename."""

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The manifest of a run, in the folder of its results: the last file that is written.
MANIFEST_NAME = "run.json"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the body ends well, else remove it.

    The body makes a file or a folder of it. A folder that is replaced is away for the moment between two renames.
    """
    temporary = path.with_name(f".{path.name}.{_this_process()}.part")
    earlier = path.with_name(f".{path.name}.{_this_process()}.earlier.part")
    try:
        yield temporary
        _sync(temporary)
        # Only a folder takes a folder's place: a file that meets one is an error.
        if temporary.is_dir() and path.is_dir():
            path.replace(earlier)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        remove(temporary)
        remove(earlier)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all it holds; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def try_writing(folder: Path) -> None:
    """Write a file into a folder, and take it away again; raises OSError where that cannot be."""
    trial = folder / f".trial-{_this_process()}"
    trial.touch()
    trial.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Hash a file; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(path: Path) -> str:
    """Hash a file, or the names and contents of all files of a folder; raises OSError where one cannot be read."""
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
    """Make renames in a folder durable, where the system can."""
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
    """Name this process; hosts that share a folder may also share a number."""
    return f"{socket.gethostname()}-{os.getpid()}"
