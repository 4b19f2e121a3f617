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
    limit : int
        Size of all that is kept; the last one is kept even if it alone is larger.
    size_of : callable
        Returns the size of one: its bytes, or 1 where as many are kept.
    """

    def __init__(self, limit: int, size_of: Callable[[_T], int]) -> None:
        #: Size of all that is kept.
        self.size = 0
        self._limit, self._size_of = limit, size_of
        self._kept: OrderedDict[Hashable, _T] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what is kept by a name, or make it; who asks for the same meanwhile waits for it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                if not (found := self._known(key)):
                    found = [make()]
                    self.put(key, found[0])
                return found[0]
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def put(self, key: Hashable, made: _T) -> None:
        """Keep what was made on the way to something else."""
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = made
            self.size += self._size_of(made)
            while self.size > self._limit and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self.size -= self._size_of(dropped)

    def _known(self, key: Hashable) -> list[_T]:
        """Return what is kept by a name: one or none."""
        with self._lock:
            if key not in self._kept:
                return []
            self._kept.move_to_end(key)
            return [self._kept[key]]
