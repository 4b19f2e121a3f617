"""Listener: receives the progress of a cohort, one call at a time."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from wsi_parse.cohort.outcome import Outcome


class Listener(Protocol):
    """Receives the progress of a cohort. Called from several threads, one call at a time."""

    def note(self, text: str) -> None:
        """Receive a message; one that concerns a single slide begins with its id."""

    def device(self, name: str) -> None:
        """Receive the name of what computes."""

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        """Receive the number of slides to process, and those that cannot be processed."""

    def tiles(self, count: int, *, found: bool) -> None:
        """Receive a number of tiles that were found (to be predicted), or that are done."""

    def ended(self, outcome: Outcome) -> None:
        """Receive how a slide ended."""


class Unheard:
    """A listener for which nobody waits."""

    def note(self, text: str) -> None:
        """Ignore."""

    def device(self, name: str) -> None:
        """Ignore."""

    def checked(self, todo: int, problems: list[Outcome]) -> None:
        """Ignore."""

    def tiles(self, count: int, *, found: bool) -> None:
        """Ignore."""

    def ended(self, outcome: Outcome) -> None:
        """Ignore."""


class SerialListener:
    """Lets one thread at a time call the listener."""

    def __init__(self, listener: Listener) -> None:
        self._lock = threading.Lock()
        self._listener = listener

    def __getattr__(self, name: str) -> Callable[..., None]:
        method = getattr(self._listener, name)

        def one_at_a_time(*given: object, **named: object) -> None:
            # What cannot be shown, because a terminal or a log's disk is gone, does not end the work.
            with self._lock, suppress(OSError):
                method(*given, **named)

        return one_at_a_time
