"""Shelf: where the buffers of layers are kept: beside the result, or in a temporary folder if they cannot be."""

import logging
from collections.abc import Callable
from pathlib import Path

from wsi_parse.errors import WsiParseError
from wsi_parse.files import atomic
from wsi_parse.viewer.store import META_NAME, Store

#: The folder in that of a run.
VIEW = "view"

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
        self._folder, self._temporary, self._say = folder, temporary, say

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
            self._say(
                f"The buffers of the viewer cannot be kept in {self._folder}; they are built in a temporary folder, "
                "each time anew."
            )
        self._temporary.mkdir(parents=True, exist_ok=True)
        return self._built(self._temporary / name, build)

    def _built(self, place: Path, build: Callable[[Path], None]) -> Store:
        with atomic(place) as folder:
            folder.mkdir()
            build(folder)
        return Store(place)


def _opened(place: Path, digest: str) -> Store | None:
    """Open buffers if they are those of a digest."""
    if place.is_symlink() or not (place / META_NAME).is_file():
        return None
    try:
        found = Store(place)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        # Damaged ones are built anew.
        return None
    return found if found.facts.get("digest") == digest else None


def _may_be_written(place: Path) -> bool:
    """Return whether what stands at a path is ours, or nothing."""
    if place.is_symlink() or place.parent.is_symlink():
        return False
    return not place.exists() or (place / META_NAME).is_file()
