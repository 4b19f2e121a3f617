"""Paths as they stand in lists: relative to the list, of another system, with ~, as addresses, folders of one slide."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wsi_parse.errors import UsageError, WsiParseError
from wsi_parse.gates import exists, shown
from wsi_parse.slides import list_slides
from wsi_parse.text import for_terminal

_MAX_SHOWN = 300
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Of a shell, and of Windows.
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})|%\w+%")
_OF_WINDOWS = re.compile(r"[a-z]:[\\/]|\\\\", re.IGNORECASE)


def check_local(text: str) -> None:
    """Refuse the address of a file on another machine.

    Raises
    ------
    UsageError
        Says what to do.

    >>> check_local("s3://bucket/a.svs")
    Traceback (most recent call last):
    ...
    wsi_parse.errors.UsageError: s3://bucket/a.svs is an address (s3://), and wsi-parse reads files of this machine. ...
    """
    if found := _ADDRESS.match(text):
        remedy = "Download the slide or mount the storage, and give the path of the file."
        if found[0].lower() == "file://":
            remedy = "Give the path without file://."
        raise UsageError(
            f"{_shown(text)} is an address ({found[0]}), and wsi-parse reads files of this machine.", remedy
        )


def _shown(text: str) -> str:
    """Return a path for a message; of a very long one, its end."""
    return for_terminal(text if len(text) <= _MAX_SHOWN else f"…{text[-_MAX_SHOWN:]}")


def find_path(text: str, folder: Path) -> Path:
    """Return the path that a list names.

    Parameters
    ----------
    text : str
        As it stands in the list.
    folder : Path
        Of the list; relative paths begin there.

    Returns
    -------
    Path
        What exists of: the path as it stands, with ~ for the folder of a user, with the separators of Windows, in
        another form of the same letters. If nothing does, the path as it stands.

    Raises
    ------
    UsageError
        It is an address, a path of Windows on another system, has a variable, names a user that does not exist, or a
        folder without a file that lies beside the list.
    """
    check_local(text)
    for path in dict.fromkeys(_readings(text, folder)):
        if exists(path):
            return path
    if "*" in text:
        raise UsageError(
            f"{_shown(text)} is a pattern, and a list names single slides.",
            "Write a row for each slide, or give the pattern in place of the list.",
        )
    if os.name != "nt" and _OF_WINDOWS.match(text):
        raise UsageError(
            f"{_shown(text)} is a path of Windows, which this machine does not have.",
            "Write the path as it is on this machine.",
        )
    if variable := _VARIABLE.search(text):
        raise UsageError(
            f"{_shown(text)} leads to no file: variables such as {variable[0]} are not replaced in a list.",
            "Write the whole path.",
        )
    try:
        path = folder / Path(text).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{_shown(text)} cannot be found: there is no user {_shown(Path(text).parts[0][1:])}.",
            "Write the whole path.",
        ) from None
    if path.parent != folder and exists(folder / path.name):
        where = "home folder, for which ~ stands" if text.startswith("~/") else "folder that the list names"
        raise UsageError(
            f"{shown(Path(path.name))} is not in the {where}; a file of that name lies beside the list.",
            "Correct the path: relative paths begin in the folder of the list.",
        )
    return path


def _readings(text: str, folder: Path) -> Iterator[Path]:
    yield folder / text
    with suppress(RuntimeError):
        yield folder / Path(text).expanduser()
    for form in ("NFC", "NFD"):
        yield folder / unicodedata.normalize(form, text)
    if os.name != "nt" and "\\" in text:
        yield folder / text.replace("\\", "/")


def find_slide(text: str, folder: Path) -> Path:
    """Return the slide that a list names; a folder may be one slide, or hold one.

    Raises
    ------
    UsageError
        As :func:`find_path`; or it is a folder that does not hold exactly one slide.
    """
    path = find_path(text, folder)
    if not exists(path) or not path.is_dir():
        return path
    try:
        slides = list_slides([path])
    except WsiParseError as error:
        raise UsageError(error.message, error.remedy) from error
    if len(slides) > 1:
        raise UsageError(
            f"The folder {shown(path)} holds {len(slides)} slides.", "Write a row for each of them into the list."
        )
    return slides[0]
