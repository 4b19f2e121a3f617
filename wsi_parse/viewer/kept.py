"""Kept: what is made when it is asked for, and kept up to a size; several threads may ask."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Kept(Generic[_T]):
    """What was made lately; what was not asked for the longest is dropped first.

    Parameters
    ----------
    limit_bytes : int
        Size of all that is kept; the last one is kept even if it alone is larger.
    size_of : callable
        Returns the size of one.
    """

    def __init__(self, limit_bytes: int, size_of: Callable[[_T], int]) -> None:
        self.bytes = 0
        self._limit_bytes, self._size_of = limit_bytes, size_of
        self._kept: OrderedDict[Hashable, _T] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what is kept by a name, or make it; who asks for the same meanwhile waits for it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                return self._known(key)
            except KeyError:
                made = make()
                self.put(key, made)
                return made
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def put(self, key: Hashable, made: _T) -> None:
        """Keep what was made on the way to something else."""
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = made
            self.bytes += self._size_of(made)
            while self.bytes > self._limit_bytes and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self.bytes -= self._size_of(dropped)

    def _known(self, key: Hashable) -> _T:
        with self._lock:
            self._kept.move_to_end(key)
            return self._kept[key]
