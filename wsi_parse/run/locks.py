"""Claims: of all processes that use a folder one works in it; the claim of a dead process is free at once."""

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
    """Be the only one who works in a folder.

    The operating system holds the lock and frees it with the process, however that ends; the file stays.

    Parameters
    ----------
    folder : Path
        Exists.

    Raises
    ------
    ClaimedError
        Where another process, or another thread of this one, is at work there.
    StoreError
        Where the file system has no locks.
    """
    # Its own substitute would outlive a process that is killed.
    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise ClaimedError(
            f"Another process is at work in {folder}.", "Wait for it, or choose another --out."
        ) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        raise StoreError(
            "The file system of the output folder has no locks (flock).",
            "Choose an --out elsewhere; Lustre has them when mounted with -o flock.",
        ) from error
    try:
        yield
    finally:
        lock.release()
