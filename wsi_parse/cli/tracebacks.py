"""The tracebacks of errors that nobody foresaw: they go to a file, and the user reads one sentence that names it."""

import os
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

from wsi_parse._version import __version__
from wsi_parse.errors import ClusterError, ModelError, PluginError, StageError, UsageError, WsiParseError

# A folder of tracebacks does not grow for ever.
_MAX_FILES = 20


# Errors of ours that pass on what went wrong elsewhere. Others, such as an unreadable file, explain themselves.
_CARRIERS = (StageError, PluginError, ModelError, ClusterError)


def is_unforeseen(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is neither one of ours nor one of the system."""
    if error is None or isinstance(error, UsageError | KeyboardInterrupt | MemoryError):
        return False
    if isinstance(error, _CARRIERS) or isinstance(error.__cause__, WsiParseError):
        return is_unforeseen(error.__cause__)
    return not isinstance(error, WsiParseError | OSError)


def keep_traceback(error: BaseException) -> Path | None:
    """Append where an error arose to the file of this process.

    Returns
    -------
    Path or None
        The file, which only its owner can read, because messages may hold names; None if it cannot be written.
    """
    path = _file()
    if path is None:
        return None
    text = "".join(traceback.format_exception(error))
    with suppress(OSError), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"wsi-parse {__version__}, Python {sys.version.split()[0]}, {time.strftime('%F %T')}\n{text}\n")
        return path
    return None


# By process and by the folder of the cache.
_files: dict[tuple[int, Path], Path] = {}


def _file() -> Path | None:
    """Return the file of this process; it is made when it is first needed."""
    from wsi_parse.models.weights import cache_folder

    cache, process = cache_folder(), os.getpid()
    if (known := _files.get((process, cache))) is not None:
        return known
    name = f"error-{time.strftime('%Y%m%d-%H%M%S')}-{process}.txt"
    for folder in (cache / "errors", Path(tempfile.gettempdir()) / f"wsi-parse-{os.getuid()}"):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                continue
            os.close(os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _remove_old(folder)
            _files[process, cache] = folder / name
            return folder / name
    return None


def _remove_old(folder: Path) -> None:
    """Remove the oldest files of ours."""
    for path in sorted(folder.glob("error-*-*.txt"))[:-_MAX_FILES]:
        with suppress(OSError):
            path.unlink()
