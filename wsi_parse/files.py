"""Files and folders that appear whole or not at all (temporary name, fsync, rename), and their hashes."""

import hashlib
import json
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsi_parse.errors import ManifestError, UsageError

# The manifest of a run, in the folder of its results; it is the last file that is written.
MANIFEST_NAME = "run.json"
#: Of the manifest; it grows when an older reader would misunderstand it, not when a field is added.
SCHEMA_VERSION = 2
# A manifest takes some 10 kB.
_MAX_MANIFEST_BYTES = 50_000_000
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


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read run.json of a folder as it stands; None only where there is no such file.

    Raises
    ------
    ManifestError
        Where it is not JSON of a run, or was written by a newer version: what the folder holds is not known then.
    """
    path = folder / MANIFEST_NAME
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):
            raise manifest_error(folder, "it is not a file")
        if status.st_size > _MAX_MANIFEST_BYTES:
            raise manifest_error(folder, "it is too large")
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise manifest_error(folder, error.strerror or str(error)) from error
    except ManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise manifest_error(folder, "it is not JSON") from error
    if not isinstance(values, dict):
        raise manifest_error(folder, "it does not describe a run")
    # The first version had no number.
    schema = values.get("schema_version", 1)
    if type(schema) is not int or schema < 1:
        raise manifest_error(folder, "schema_version is not a positive whole number")
    if schema > SCHEMA_VERSION:
        raise ManifestError(
            f"{MANIFEST_NAME} in {folder} was written by a newer version of wsi-parse (schema {schema}; this one reads "
            f"up to {SCHEMA_VERSION}).",
            "Update wsi-parse, choose another folder with --out, or remove that file.",
        )
    return values


def manifest_error(folder: Path, reason: str) -> ManifestError:
    """Build the error for a manifest that cannot be read."""
    return ManifestError(
        f"{MANIFEST_NAME} in {folder} cannot be read: {reason}.",
        "Choose another folder with --out, or remove that file.",
    )


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
    if not nearest.is_dir():
        raise UsageError(f"The results cannot be written to {folder}: {nearest} is a file, not a folder.", remedy)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"The results cannot be written to {folder}: {nearest} is not writable.", remedy)


def try_writing(folder: Path) -> None:
    """Create a file in a folder and remove it again; raises OSError if the folder is not writable."""
    trial = folder / f".trial-{_this_process()}"
    trial.touch()
    trial.unlink(missing_ok=True)


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
