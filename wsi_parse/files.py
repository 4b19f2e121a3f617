"""Outputs appear whole or not at all: a temporary name, fsync, rename."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the body ends well, else remove it."""
    temporary = path.with_name(f".{path.name}.{_this_process()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


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
