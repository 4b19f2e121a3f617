"""Claims: only one process works in an output folder; the claim of a process that died is free at once."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from wsi_parse.errors import ClaimedError, StoreError

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
    StoreError
        If the file system does not support locks.
    """
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
            raise
        raise StoreError(
            "The file system of the output folder does not support locks (flock).",
            "Choose a folder on another file system with --out; Lustre supports locks if mounted with -o flock.",
        ) from error
    try:
        yield
    finally:
        lock.release()
