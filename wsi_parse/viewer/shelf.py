"""Shelf: where the buffers of layers are kept: beside the result, or in a temporary folder if they cannot be."""

import json
import logging
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from wsi_parse.errors import WsiParseError
from wsi_parse.files import atomic
from wsi_parse.viewer.store import META_NAME, Store

#: The folder in that of a run.
VIEW = "view"
#: Of the layers of files of others: a hash of the file's path follows.
FILE_PREFIX = "with-"
# And what was moved aside by a process that was then killed.
_OF_A_FILE = re.compile(rf"{FILE_PREFIX}[0-9a-f]{{12}}(-[0-9]+)?|result-[0-9]+")
# Buffers of files of others that nobody looked at for so long are removed.
_UNUSED_SECONDS = 30 * 24 * 3600

logger = logging.getLogger(__name__)


class Shelf:
    """Keeps the buffers of the layers of one slide; what does not fit its layer any more is built anew.

    Parameters
    ----------
    folder : Path or None
        Of the run; None: there is none.
    temporary : Path
        For buffers that cannot be kept; made if needed.
    say : callable
        Is told what takes time, and where the buffers go if it is not the folder of the run.
    """

    def __init__(self, folder: Path | None, temporary: Path, say: Callable[[str], None]) -> None:
        self._folder, self._temporary, self.say = folder, temporary, say

    def store(self, name: str, digest: str, build: Callable[[Path], None]) -> Store:
        """Open the buffers of a layer; `build` writes them into an empty folder if they are not there."""
        if self._folder is not None:
            kept = self._folder / VIEW / name
            if (found := _opened(kept, digest)) is not None:
                return found
            if _may_be_written(kept):
                try:
                    kept.parent.mkdir(exist_ok=True)
                    return self._built(kept, build)
                except WsiParseError:
                    # Those of what is read are errors of the system, too.
                    raise
                except OSError as error:
                    logger.info("The buffers cannot be kept in %s: %s.", kept.parent, error)
            self.say(
                f"The buffers of the viewer cannot be kept in {self._folder}; they are built in a temporary folder, "
                "each time anew."
            )
        self._temporary.mkdir(parents=True, exist_ok=True)
        return self._built(self._temporary / name, build)

    def remove_unused(self) -> None:
        """Remove the buffers of files that were laid over the slide long ago; files that are not ours stay."""
        folder = None if self._folder is None else self._folder / VIEW
        if folder is None or folder.is_symlink() or not folder.is_dir():
            return
        for place in folder.iterdir():
            with suppress(OSError):
                # Opening marks them, see below.
                used = (place / META_NAME).lstat()
                is_old = stat.S_ISREG(used.st_mode) and used.st_mtime < time.time() - _UNUSED_SECONDS
                if is_old and _OF_A_FILE.fullmatch(place.name) and not place.is_symlink():
                    _remove_ours(place)

    def _built(self, place: Path, build: Callable[[Path], None]) -> Store:
        with atomic(place) as folder:
            folder.mkdir()
            build(folder)
            self._make_room(place)
        return Store(place)

    def _make_room(self, place: Path) -> None:
        """Remove earlier buffers; what else lies among them stays, under another name."""
        if not place.exists():
            return
        # Under another name first: buffers are there as a whole, or not at all.
        aside = next(path for number in count(1) if not (path := place.with_name(f"{place.name}-{number}")).exists())
        place.rename(aside)
        if not _remove_ours(aside):
            self.say(f"{aside} holds files that are not the viewer's; they were in {place.name}, and are kept.")


def _opened(place: Path, digest: str) -> Store | None:
    """Open buffers if they are those of a digest."""
    if place.is_symlink() or not (place / META_NAME).is_file():
        return None
    try:
        found = Store(place)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        # Damaged ones are built anew.
        return None
    if found.facts.get("digest") != digest:
        return None
    with suppress(OSError):
        (place / META_NAME).touch()
    return found


def _remove_ours(place: Path) -> bool:
    """Remove buffers, and their folder if nothing else is in it; return whether it is gone."""
    try:
        names = json.loads((place / META_NAME).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, LookupError, TypeError):
        names = []
    ours = {place / str(name) for name in names} | {place / META_NAME}
    for path in [path for path in place.iterdir() if path in ours]:
        with suppress(OSError):
            # Of a link only the link; a folder stays.
            path.unlink()
    try:
        place.rmdir()
    except OSError:
        return False
    return True


def _may_be_written(place: Path) -> bool:
    """Return whether what stands at a path is ours, or nothing."""
    if place.is_symlink() or place.parent.is_symlink():
        return False
    return not place.exists() or (place / META_NAME).is_file()
