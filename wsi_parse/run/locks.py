"""Claims: only one process works in an output folder; the claim of a process that died is free at once."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from wsi_parse.errors import ClaimedError, StoreError, UsageError
from wsi_parse.files import is_shared_with_group

_LOCK = ".lock"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Make sure that no other process works in a folder.

    The operating system holds the lock and frees it when the process ends, in whatever way; the lock file stays.

    Parameters
    ----------
    folder : Path
        Must exist.

    Raises
    ------
    ClaimedError
        If another process, or another thread of this one, works there.
    UsageError
        If the lock file is a link, which is not followed.
    StoreError
        If the file system does not support locks, or does not let this one be opened.
    """
    if (folder / _LOCK).is_symlink():
        raise UsageError(f"{folder / _LOCK} is a link, and links are not followed.", "Remove it, and run again.")
    # The soft lock of filelock would stay behind when a process is killed.
    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise ClaimedError(
            f"Another process is working in {folder}.", "Wait until it ends, or choose another folder with --out."
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise StoreError(
                f"The lock file {_LOCK} of the output folder cannot be opened: {error.strerror or error}.",
                "Choose another folder with --out. To work on it together, each of you needs --share-group.",
            ) from error
        raise StoreError(
            "The file system of the output folder does not support locks (flock).",
            "Choose a folder on another file system with --out; Lustre supports locks if mounted with -o flock.",
        ) from error
    if is_shared_with_group():
        with suppress(OSError):
            (folder / _LOCK).chmod(0o660)
    try:
        yield
    finally:
        lock.release()
