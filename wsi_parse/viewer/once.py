"""once: a property that is computed once for each object, also where several threads ask for it at the same time."""

import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

_T = TypeVar("_T")
_MISSING = object()
_locks = threading.Lock()


class once(Generic[_T]):  # noqa: N801 - used as `functools.cached_property` is
    """Like :class:`functools.cached_property`, which from Python 3.12 on lets each thread compute a value of its own.

    Others that ask meanwhile wait for the first; those that ask another object wait for nobody. An error is not kept.

    >>> class Counted:
    ...     calls = 0
    ...
    ...     @once
    ...     def value(self) -> int:
    ...         self.calls += 1
    ...         return self.calls
    >>> counted = Counted()
    >>> counted.value, counted.value
    (1, 1)
    """

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name it stands in its class."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> _T | Self:
        """Return the value; it is looked up here until it stands in the object itself."""
        if instance is None:
            return self
        kept = instance.__dict__
        with _locks:
            lock = kept.setdefault(f"_lock_of_{self._name}", threading.Lock())
        with lock:
            if (found := kept.get(self._name, _MISSING)) is _MISSING:
                found = kept[self._name] = self._compute(instance)
            value: _T = found
            return value
