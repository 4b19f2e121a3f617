"""Claims: of all processes that use a folder one works in it; the claim of a dead process is free at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from wsi_parse.errors import ClaimedError

_LOCK = ".lock"


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
    """
    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise ClaimedError(
            f"Another process is at work in {folder}.", "Wait for it, or choose another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()
