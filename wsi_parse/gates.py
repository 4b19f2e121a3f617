"""The gates: a path that comes in is looked at before it is opened, a path that goes out before anything is done.

Everything that a user names passes `check_input`: slides, lists, regions, annotations, settings, weights, runs.
Everything that a command will write passes `check_outputs`: no output is an input, or another output.
A pixel size, whoever gives it, is held to those that slides have by `pixel_size_problem`.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from itertools import islice
from pathlib import Path

from wsi_parse.errors import UsageError, WsiParseError, did_you_mean
from wsi_parse.files import CHECK_RIGHTS, move
from wsi_parse.text import RESEARCH_ONLY

_CHECK_PATH = "Check the path."
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# A name that a message shows is cut to this many letters: the longest that a file system allows.
_MAX_SHOWN = 255
# In a folder with more names, none that is similar is looked for: to compare them takes too long.
_MAX_COMPARED = 10_000
_NOTICE_WITHIN_BYTES = 1 << 16
# Microns per pixel at level 0. The finest scanners (100x, oil) have 0.05; overviews of whole slides reach about 60.
MIN_MPP_UM, MAX_MPP_UM = 0.02, 64.0
# What slides usually have: 80x at 0.11 to 2.5x at 4.
USUAL_MPP_UM = (0.1, 4.5)
#: Powers of ten by which a pixel size in another unit differs from one in µm.
_UNITS = (("millimetres", 1e3), ("centimetres", 1e4), ("metres", 1e6), ("nanometres", 1e-3))
_SUGGESTS = ContextVar("suggests", default=True)


def exists(path: str | Path) -> bool:
    """Return whether a path leads to something; False for a name that no system accepts or that may not be looked at.

    >>> exists("."), exists("no" * 300), exists("a" + chr(0))
    (True, False, False)
    """
    try:
        Path(path).stat()
    except (OSError, ValueError):
        return False
    return True


def check_input(
    path: str | Path,
    what: str,
    *,
    error: type[WsiParseError] = UsageError,
    max_bytes: int | None = None,
    folder: bool = False,
) -> Path:
    """Return the path of something to read, if it can be read: a regular file that may be opened and is not too large.

    Parameters
    ----------
    path : str or Path
        As the user gave it; links are followed.
    what : str
        What it should be, with an article: "a slide", "a list of slides".
    error : type of WsiParseError
        What is raised.
    max_bytes : int, optional
        A file that is larger is refused.
    folder : bool
        Whether a folder is accepted, too.

    Raises
    ------
    WsiParseError
        Of the class `error`; nothing else is raised. Pipes, sockets and devices are never opened.

    >>> check_input("no_such.svs", "a slide")
    Traceback (most recent call last):
    ...
    wsi_parse.errors.UsageError: There is no file no_such.svs. Check the path.
    """
    path = Path(path)
    name = shown(path)
    found = _stat(path, error, folder=folder)
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise error(f"{name} is {kind}, and not {what}.", "Give the path of a file.")
    is_folder = stat.S_ISDIR(found.st_mode)
    if is_folder and not folder:
        raise error(f"{name} is a folder, and not {what}.", "Give the path of a file.")
    if not is_folder and max_bytes is not None and found.st_size > max_bytes:
        raise error(
            f"{name} is too large for {what}: it has {_size(found.st_size)}, and at most {_size(max_bytes)} are read.",
            "Check that it is the file that you mean.",
        )
    if not os.access(path, os.R_OK | os.X_OK if is_folder else os.R_OK):
        raise error(f"{name} cannot be read: Permission denied.", CHECK_RIGHTS)
    return path


def _stat(path: Path, error: type[WsiParseError], *, folder: bool) -> os.stat_result:
    name = shown(path)
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        wanted = "file or folder" if folder and not path.suffix else "file"
        message = f"There is no {wanted} {name}."
        if _is_link(path):
            message = f"{name} is a link to a file that does not exist."
        raise error(message, " ".join(filter(None, [_nearest(path), _CHECK_PATH]))) from None
    except ValueError:
        raise error(f"{name} is not the name of a file.", _CHECK_PATH) from None
    except OSError as reason:
        raise error(f"{name} cannot be read: {_reason(reason)}.", CHECK_RIGHTS) from reason


def check_outputs(outputs: Mapping[str, Path], inputs: Mapping[str, Path]) -> None:
    """Refuse outputs that would replace an input or one another, before any work is done.

    Parameters
    ----------
    outputs, inputs : mapping of str to Path
        What is written and what is read; the keys are the names of options or arguments, for the message. An input that
        is a folder is an input with all that it holds.

    Raises
    ------
    UsageError
        Names both. The same file is found through links, too, and under names that differ only in the case of letters
        or in their Unicode form.

    >>> check_outputs({"--json": Path("a.json")}, {"the truth": Path("A.json")})
    Traceback (most recent call last):
    ...
    wsi_parse.errors.UsageError: --json would overwrite the truth: a.json. Choose another name.
    """
    earlier: list[tuple[str, Path]] = []
    for label, path in outputs.items():
        for other, read in inputs.items():
            if is_same(path, read):
                raise UsageError(f"{label} would overwrite {other}: {shown(path)}.", "Choose another name.")
            if exists(path) and exists(read) and read.is_dir() and is_same(path.parent, read):
                raise UsageError(f"{label} would overwrite a file of {other}: {shown(path)}.", "Choose another name.")
        for other, written in earlier:
            if is_same(path, written):
                raise UsageError(f"{label} and {other} name the same file: {shown(path)}.", "Give each its own name.")
        earlier.append((label, path))


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are, or would become, the same file or folder."""
    try:
        if one.samefile(other):
            return True
    except (OSError, ValueError):
        pass
    return _normal(one) == _normal(other)


def _normal(path: Path) -> str:
    """Resolve links in what exists of a path; letters are compared as the least careful file system does."""
    try:
        resolved = os.path.realpath(path)
    except (OSError, ValueError):
        # A link that leads to itself, or a name that no system accepts: it is compared as it stands.
        resolved = str(path.absolute())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", resolved).casefold())


def is_ours(path: Path) -> bool:
    """Return whether a file says near its beginning what the files of wsi-parse are for."""
    try:
        with check_input(path, "a file").open("rb") as file:
            return RESEARCH_ONLY.encode() in file.read(_NOTICE_WITHIN_BYTES)
    except UsageError:
        return False


def keep_aside(path: Path) -> Path:
    """Rename a file or folder that a person made or changed, so that another one can take its place.

    Returns
    -------
    Path
        NAME.edited-YYYY-MM-DD.ENDING beside it; with a number where that exists.
    """
    stem, dot, endings = path.name.partition(".")
    if not stem:
        stem, dot, endings = path.name, "", ""
    number = 1
    while True:
        suffix = f"-{number}" if number > 1 else ""
        target = path.with_name(f"{stem}.{EDITED}{date.today().isoformat()}{suffix}{dot}{endings}")
        if not os.path.lexists(target):
            move(path, target)
            return target
        number += 1


#: In the names of what :func:`keep_aside` kept; the date follows.
EDITED = "edited-"


def shown(path: Path) -> str:
    """Return a path for a message: of a name that is too long, its beginning."""
    text = str(path)
    if len(path.name) > _MAX_SHOWN:
        return f"{path.name[:40]}… ({len(path.name)} letters)"
    return text


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def _nearest(path: Path) -> str:
    """Ask whether a name of the same folder was meant."""
    if not _SUGGESTS.get() or len(path.name) > _MAX_SHOWN:
        return ""
    try:
        names = [one.name for one in islice(path.parent.iterdir(), _MAX_COMPARED + 1) if one.name != path.name]
    except (OSError, ValueError):
        return ""
    return did_you_mean(path.name, names) if len(names) <= _MAX_COMPARED else ""


@contextmanager
def suggestions(*, wanted: bool) -> Iterator[None]:
    """Say whether :func:`check_input` looks for a similar name where a file is missing: not where thousands are.

    It is so within the context, and within this thread.
    """
    token = _SUGGESTS.set(wanted)
    try:
        yield
    finally:
        _SUGGESTS.reset(token)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".")


def _size(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def pixel_size_problem(mpp_um: float) -> str:
    """Say why a number cannot be a pixel size in microns per pixel; empty if it can.

    >>> pixel_size_problem(0.25)
    ''
    >>> pixel_size_problem(0.00025)
    'it must be between 0.02 and 64 µm per pixel (0.00025 looks like millimetres: 0.25 µm?)'
    >>> pixel_size_problem(250)
    'it must be between 0.02 and 64 µm per pixel (250 looks like nanometres: 0.25 µm?)'
    """
    if MIN_MPP_UM <= mpp_um <= MAX_MPP_UM:
        return ""
    low, high = USUAL_MPP_UM
    hint = next(
        (
            f" ({mpp_um:.3g} looks like {unit}: {mpp_um * factor:.3g} µm?)"
            for unit, factor in _UNITS
            if low <= mpp_um * factor <= high
        ),
        "",
    )
    return f"it must be between {MIN_MPP_UM:g} and {MAX_MPP_UM:g} µm per pixel{hint}"


def is_usual_pixel_size(mpp_um: float) -> bool:
    """Return whether slides usually have such pixels.

    >>> is_usual_pixel_size(0.25), is_usual_pixel_size(0.025)
    (True, False)
    """
    return USUAL_MPP_UM[0] <= mpp_um <= USUAL_MPP_UM[1]
