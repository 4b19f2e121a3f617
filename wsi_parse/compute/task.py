"""Task: a piece of the work of a run, and what it waits for; a graph is a list of them, whoever does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsi_parse.compute.worker import Done

#: Task ("predict" or "outline"; Dask's dashboard groups by it), key of the run and round, scale pass, row, column.
Key = tuple[str, str, int, int, int]


@dataclass(frozen=True)
class Task:
    """A piece of the work of a run.

    Parameters
    ----------
    key : tuple
        Unique among all tasks that may be at work at once.
    function : callable
        Of :mod:`wsi_parse.compute.worker`.
    arguments : tuple
    waits_for : tuple of keys
        Tasks of the same graph that must be done before.
    priority : int
        Tasks of a higher one go first.
    on_device : bool
        Whether it runs a model that uses a device, of which there are few.
    """

    key: Key
    function: Callable[..., Done]
    arguments: tuple[Any, ...]
    waits_for: tuple[Key, ...] = ()
    priority: int = 0
    on_device: bool = False
