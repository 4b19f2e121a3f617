"""What the user wants to see (-q, -v, --traceback), and how errors, notes and log messages are printed."""

import hashlib
import logging
import os
import sys
import time
import traceback as tracebacks
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from wsi_parse.cautions import Caution
from wsi_parse.cli.tracebacks import is_unforeseen, keep_traceback
from wsi_parse.errors import WsiParseError
from wsi_parse.progress import TRACEBACKS, Hint, Limitation
from wsi_parse.text import for_terminal

_DAY_SECONDS = 86_400
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
# Libraries that say more than anybody asks for, or say again what our errors say: they are heard with -vv only.
_TALKATIVE = (
    *("asyncio", "bokeh", "dask_jobqueue", "distributed", "filelock", "fsspec", "imagecodecs", "openslide", "PIL"),
    *("pydicom", "tifffile", "tiffslide", "tornado", "urllib3", "zarr"),
)


@dataclass
class _Wanted:
    quiet: bool = False
    verbose: int = 0
    traceback: bool = False
    untold: Path | None = None


_wanted = _Wanted()


def reset() -> None:
    """Forget what was wanted: a process may run several commands."""
    _wanted.quiet, _wanted.verbose, _wanted.traceback, _wanted.untold = False, 0, False, None


def configure(*, quiet: bool, verbose: int, traceback: bool) -> None:
    """Take what the user wants to see; what a command's group was told stays."""
    _wanted.quiet |= quiet
    _wanted.verbose = max(_wanted.verbose, verbose)
    _wanted.traceback |= traceback
    root = logging.getLogger()
    if not any(isinstance(handler, _Stderr) for handler in root.handlers):
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    root.setLevel(_level())
    tracebacks_logger = logging.getLogger(TRACEBACKS)
    tracebacks_logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Keeper) for handler in tracebacks_logger.handlers):
        tracebacks_logger.addHandler(_Keeper())


def _level() -> int:
    return logging.ERROR if _wanted.quiet else _LEVELS[min(_wanted.verbose, len(_LEVELS) - 1)]


class _Stderr(logging.Handler):
    """Writes to what sys.stderr is now: a live display puts itself in front of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what a library says at a level of its own, or in too many words."""
        if record.name == TRACEBACKS:
            return _wanted.traceback
        is_talkative = record.name.partition(".")[0] in _TALKATIVE
        lowest = logging.CRITICAL if is_talkative and _wanted.verbose < len(_LEVELS) - 1 else _level()
        return record.levelno >= lowest

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            sys.stderr.write(self.format(record) + "\n")


class _Keeper(logging.Handler):
    """Keeps what nobody foresaw, of errors that others show as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and is_unforeseen(error):
            _wanted.untold = keep_traceback(error)


def tell_kept() -> None:
    """Name the file of the tracebacks that were kept meanwhile, once."""
    path, _wanted.untold = _wanted.untold, None
    if path is not None and not _wanted.traceback:
        typer.echo(f"wsi-parse: an unexpected error happened; its traceback is in {path}: please report it.", err=True)


def messages(*, muted: bool = False) -> Console:
    """Return the console for messages to a person: the error stream, or nothing with -q."""
    return Console(stderr=True, quiet=muted or _wanted.quiet)


def is_quiet() -> bool:
    """Whether only errors are shown."""
    return _wanted.quiet


def safe(text: object) -> str:
    """Make text from outside safe for a console of rich: it neither controls the terminal nor is it markup."""
    return escape(for_terminal(text))


def show_error(error: BaseException) -> None:
    """Print an error in one line; with --traceback, also where it arose and what caused it."""
    typer.echo(f"wsi-parse: {text_of(error)}{kept_traceback(error)}", err=True)
    show_traceback(error)


def show_failure(slide: str, error: BaseException) -> None:
    """Print in one line that a slide failed; the others go on."""
    text = text_of(error) if isinstance(error, WsiParseError) else f"{for_terminal(slide)}: {text_of(error)}"
    Console(stderr=True).print(
        f"[red]failed[/red] {safe(text)}{safe(kept_traceback(error))}", highlight=False, soft_wrap=True
    )
    show_traceback(error)


def show_traceback(error: BaseException) -> None:
    """Print where an error arose and what caused it, with --traceback only."""
    if _wanted.traceback:
        typer.echo("".join(tracebacks.format_exception(error)).rstrip(), err=True)


def text_of(error: BaseException) -> str:
    """Put an error into words, in one line that is safe to print."""
    if isinstance(error, WsiParseError):
        return for_terminal(error)
    if isinstance(error, MemoryError):
        return "The memory of this machine is not enough. Give fewer workers, or close other programs."
    if isinstance(error, OSError) and error.strerror:
        named = f" ({Path(str(error.filename)).name})" if error.filename else ""
        return for_terminal(f"{error.strerror}{named}.")
    if isinstance(error, RecursionError):
        return "Something is nested too deeply."
    return for_terminal(f"{type(error).__name__}: {error}".removesuffix(": "))


def kept_traceback(error: BaseException) -> str:
    """Keep the traceback of an error that nobody foresaw in a file, and name it; empty for other errors."""
    if not is_unforeseen(error):
        return ""
    path = keep_traceback(error)
    _wanted.untold = None
    if _wanted.traceback:
        return ""
    if path is None:
        return " (--traceback shows where)"
    whose = "" if isinstance(error, WsiParseError) else "; please report it"
    return f" (its traceback is in {path}{whose})"


def say(console: Console, text: str, indent: str = "") -> None:
    """Print a note: a hint once a day, of a limitation the first sentence and where the others are."""
    if console.quiet or (isinstance(text, Hint) and _was_said_today(text)):
        # What nobody sees does not count as said.
        return
    if isinstance(text, Limitation):
        text = f"{text.first_sentence} Before you rely on the result: wsi-parse models {text.model}"
    console.print(f"{indent}{for_terminal(text)}", highlight=False, markup=False, soft_wrap=not console.is_terminal)


def say_caution(console: Console, caution: Caution, indent: str = "") -> None:
    """Print what is plausible but wrong, and what to do."""
    console.print(
        f"{indent}[yellow]caution[/yellow] {safe(caution)}",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )


def _was_said_today(text: str) -> bool:
    """Whether a text was said within a day; from now on it was. What cannot be noted is said each time."""
    from wsi_parse.models.weights import cache_folder

    mark = cache_folder() / "said" / hashlib.sha256(text.encode()).hexdigest()[:16]
    with suppress(OSError):
        if abs(time.time() - mark.stat().st_mtime) < _DAY_SECONDS:
            return True
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        os.utime(mark)
    return False
