"""Files and folders that appear whole or not at all (temporary name, fsync, rename), private folders, and hashes."""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
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


def read_regular(path: Path) -> bytes:
    """Read a file that we wrote; a link, a pipe or a folder in its place is not that file, and is not opened.

    Raises
    ------
    FileNotFoundError
        There is no regular file.
    OSError
        It is there and cannot be read now: too many open files, no memory, a disk that fails.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "it is not a regular file", str(path))
    with os.fdopen(handle, "rb") as file:
        return file.read()


# A folder above it is a file, it is a link, or a socket.
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR}


def clear_for_file(path: Path) -> Path:
    """Remove a folder where a file of ours is to be, because a file cannot replace it; return the path."""
    if path.is_dir() and not path.is_symlink():
        remove(path)
    return path


def real_folder(path: Path) -> Path:
    """Make a folder of ours; a file or a link in its place is removed, and not followed."""
    if path.is_symlink() or not path.is_dir():
        remove(path)
        path.mkdir(parents=True, exist_ok=True)
    return path


def odd_entries(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder or below and is neither a file nor a folder: links, pipes, sockets, devices."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from odd_entries(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


@contextmanager
def shared_with_group(wanted: bool) -> Iterator[None]:
    """While the body runs, let the group write what this process creates, also in private folders.

    The rights of new files belong to the whole process: they change with the first of several that want it at a time,
    and are as before when the last one ends.
    """
    global _sharing, _umask
    if not wanted:
        yield
        return
    with _sharing_lock:
        if not _sharing:
            _umask = os.umask(0o077)
            os.umask(_umask & ~0o070)
        _sharing += 1
    try:
        yield
    finally:
        with _sharing_lock:
            _sharing -= 1
            if not _sharing:
                os.umask(_umask)


_sharing, _umask, _sharing_lock = 0, 0, threading.Lock()


def is_shared_with_group() -> bool:
    """Return whether the group may write what is created now."""
    return _sharing > 0


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can open (within :func:`shared_with_group` also the group), or take our own.

    Raises
    ------
    UsageError
        It is a link or a file, or belongs to another user.
    OSError
        It cannot be created.
    """
    other = "Choose another folder with --out, or remove it."
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise UsageError(f"{path} is a link, and intermediate files are not written through links.", other)
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"Intermediate files cannot be written: {path} is a file, not a folder.", other)
    if not _is_ours(path, found):
        raise UsageError(
            f"{path} belongs to another user, so that its files cannot be trusted.",
            "Choose another folder with --out. To work on it together, each of you needs --share-group.",
        )
    with suppress(OSError):
        # Not where the file system has no rights, or where the folder is that of another one of the group.
        if is_shared_with_group():
            with suppress(OSError):
                os.chown(path, -1, path.parent.stat().st_gid)
            path.chmod(0o2770)
        elif stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    return path


def _is_ours(path: Path, found: os.stat_result) -> bool:
    user = getattr(os, "geteuid", lambda: found.st_uid)()
    if found.st_uid == user:
        return True
    if is_shared_with_group():
        groups = {os.getegid(), *os.getgroups()}
        return found.st_gid in groups and not found.st_mode & (stat.S_IWOTH | stat.S_IXOTH)
    # Some network drives show one owner for everything.
    try:
        with tempfile.TemporaryFile(dir=path) as trial:
            return os.fstat(trial.fileno()).st_uid == found.st_uid
    except OSError:
        return False


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
