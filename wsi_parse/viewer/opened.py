"""Opened: the slides that are served; each is opened when somebody first looks at it."""

import logging
import threading
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from wsi_parse.cohort.thumbnails import thumbnail_of
from wsi_parse.viewer.slide_view import Entry, SlideView

# Of a cohort, so many slides are open at a time.
_MOST_OPEN = 8
_THUMBNAIL_BYTES = 40_000
# What reads when the viewer ends needs less, unless the disk does not answer.
_READING_SECONDS = 20

logger = logging.getLogger(__name__)


class Opened:
    """The slides that are served; several threads may ask for them.

    Parameters
    ----------
    entries : sequence of Entry
    temporary : Path
        A folder for small pictures.
    cohort : bool
        Whether they are listed: a single slide is shown at once.
    """

    def __init__(self, entries: Sequence[Entry], temporary: Path, *, cohort: bool) -> None:
        self._entries, self.cohort = list(entries), cohort
        self._temporary = temporary / "thumbnails"
        self._views: OrderedDict[int, SlideView] = OrderedDict()
        self._lock = threading.Lock()
        self._opening = [threading.Lock() for _ in self._entries]
        self._drawing = [threading.Lock() for _ in self._entries]
        self._readers, self._no_reader = 0, threading.Condition()

    def entry(self, number: int) -> Entry:
        """Return a slide of the list."""
        if not 0 <= number < len(self._entries):
            raise HTTPException(404)
        return self._entries[number]

    def view(self, number: int) -> SlideView:
        """Open a slide, if it is not open.

        Raises
        ------
        WsiParseError
            It cannot be shown.
        """
        entry = self.entry(number)
        with self._opening[number]:
            with self._lock:
                if number in self._views:
                    self._views.move_to_end(number)
                    return self._views[number]
            view = entry.open()
            with self._lock:
                self._views[number] = view
                while len(self._views) > _MOST_OPEN:
                    # Another thread may still read it: it is closed when the last one lets it go.
                    self._views.popitem(last=False)
            return view

    def thumbnail(self, number: int) -> bytes | None:
        """Return a small picture of a slide of a list as JPEG, made of that of its run; None if it has none."""
        overlay = self.entry(number).overlay
        # Two tabs that ask at once would make the same file.
        with self._drawing[number]:
            found = None if overlay is None else thumbnail_of(overlay, self._temporary / str(number), _THUMBNAIL_BYTES)
        return None if found is None else b64decode(found.jpeg)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the slides for the list of a cohort."""
        return [
            {
                "n": number,
                "name": entry.name,
                "state": entry.state,
                "objects": entry.objects,
                "cautions": list(entry.cautions),
            }
            for number, entry in enumerate(self._entries)
        ]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While the body runs, :meth:`close` waits: a slide that is closed under who reads it would end the process."""
        with self._no_reader:
            self._readers += 1
        try:
            yield
        finally:
            with self._no_reader:
                self._readers -= 1
                self._no_reader.notify_all()

    def stop(self) -> None:
        """Let what takes long end soon; no tile is read any more."""
        with self._lock:
            for view in self._views.values():
                view.tiles.stop()

    def close(self) -> None:
        """Release all slides, when nobody reads them any more; a slide that cannot be read to the end stays open."""
        self.stop()
        with self._lock:
            views = list(self._views.values())
            self._views.clear()
        with self._no_reader:
            if not self._no_reader.wait_for(lambda: not self._readers, _READING_SECONDS):
                logger.warning("A slide is still being read: it is not closed.")
                return
        for view in views:
            view.slide.close()
