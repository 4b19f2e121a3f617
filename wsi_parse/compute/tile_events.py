"""Tiles are counted while their block is still at work: tasks tell it, in this process or by events of Dask."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

# A block of a fast model tells nothing: it ends before.
_EVERY_SECONDS = 1.0
#: Scale pass, row and column of a block.
Place = tuple[int, int, int]
#: What a task tells: seconds since the epoch, then its place and how many of its tiles are predicted.
Event = tuple[float, tuple[int, int, int, int]]
# Who listens in this process, by topic.
_listeners: dict[str, Callable[[Event], None]] = {}


def topic_of(key: str) -> str:
    """Return the topic of Dask's events of a run, from :attr:`wsi_parse.compute.plan.RunPlan.key`."""
    return f"wsi-parse-tiles-{key}"


class TileTeller:
    """Tells, from a task, how many tiles of its block are predicted; at most once a second.

    Parameters
    ----------
    key : str
        Of the run.
    place : (int, int, int)
        Scale pass, row and column of the block.
    """

    def __init__(self, key: str, place: Place, every_s: float = _EVERY_SECONDS) -> None:
        self._topic, self._place, self._every_s = topic_of(key), place, every_s
        self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Tell that `done` tiles of the block are predicted."""
        if time.monotonic() - self._last < self._every_s:
            return
        self._last = time.monotonic()
        event = (*self._place, done)
        listener = _listeners.get(self._topic)
        if listener is not None:
            listener((time.time(), event))
            return
        # Elsewhere tasks run in a worker of Dask; outside of one, nobody listens.
        from distributed import get_worker

        with suppress(ValueError):
            get_worker().log_event(self._topic, event)


class TileCounter:
    """Counts each predicted tile once, whether a task tells it while it works, when it ends, or a second time.

    Parameters
    ----------
    advance : callable
        Called with a number of tiles, also from other threads, by one at a time.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._lock = advance, threading.Lock()
        self._told: dict[Place, int] = {}
        self._ended: set[Place] = set()

    @contextmanager
    def listening(self, client: "Client", key: str) -> Iterator[None]:
        """Receive what the tasks of a run tell through Dask."""
        client.subscribe_topic(topic_of(key), self.receive)
        try:
            yield
        finally:
            if client.status == "running":
                client.unsubscribe_topic(topic_of(key))

    def receive(self, event: Event) -> None:
        """Take what a task tells: its place, and how many of its tiles are predicted."""
        index, row, column, done = event[1]
        place = index, row, column
        with self._lock:
            new = 0 if place in self._ended else done - self._told.get(place, 0)
            if new > 0:
                self._told[place] = done
                # Whoever stops a run raises; the thread that waits for the tasks will find out itself.
                with suppress(KeyboardInterrupt):
                    self._advance(new)

    def ended(self, place: Place, count: int) -> None:
        """Take the end of a task: count those of its tiles that were not told."""
        with self._lock:
            self._ended.add(place)
            self._advance(count - self._told.pop(place, 0))


@contextmanager
def listening_here(counter: TileCounter, key: str) -> Iterator[None]:
    """Let a counter receive what the tasks of a run tell in threads of this process."""
    _listeners[topic_of(key)] = counter.receive
    try:
        yield
    finally:
        del _listeners[topic_of(key)]
