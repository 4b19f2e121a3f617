"""Files and folders of ours: regular files and no links, in folders that only their owner can open."""

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsi_parse.errors import UsageError
from wsi_parse.files.whole import remove


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
    """Make a folder of ours; a file or a link in its place is removed, and not followed. Several may do so at once."""
    if path.is_symlink() or not path.is_dir():
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # Another thread has made the folder meanwhile: it must not be removed.
            if path.is_symlink() or not path.is_dir():
                raise
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
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    check_private(path)
    found = path.lstat()
    with suppress(OSError):
        # Not where the file system has no rights, or where the folder is that of another one of the group.
        if is_shared_with_group():
            with suppress(OSError):
                os.chown(path, -1, path.parent.stat().st_gid)
            path.chmod(0o2770)
        elif stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    return path


def check_private(path: Path) -> None:
    """Refuse what cannot be a private folder of ours; nothing is made, and a path that does not exist is fine.

    Raises
    ------
    UsageError
        It is a link or a file, or belongs to another user.
    """
    other = "Choose another folder with --out, or remove it."
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(found.st_mode):
        raise UsageError(f"{path} is a link, and intermediate files are not written through links.", other)
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"Intermediate files cannot be written: {path} is a file, not a folder.", other)
    if not _is_ours(path, found):
        raise UsageError(
            f"{path} belongs to another user, so that its files cannot be trusted.",
            "Choose another folder with --out. To work on it together, each of you needs --share-group.",
        )


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
