"""Attempts: a task leaves a mark while it runs, so that a process that died tells what it was doing.

What was under way when a process died is a suspect, and runs alone in its process from then on: whatever dies next is
known. The scheduler's own count cannot tell a block that kills from one that ran beside it.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsi_parse.errors import StageError

#: A task on which so many workers died is what kills them.
MAX_WORKER_DEATHS = 3


class _ExclusiveGate:
    """Many at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._alone = 0, False

    @contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not (alone and self._inside))
            self._inside, self._alone = self._inside + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._inside, self._alone = self._inside - 1, False
                self._changed.notify_all()


_gate = _ExclusiveGate()


@contextmanager
def crash_guard(folder: Path, name: str) -> Iterator[None]:
    """Do a task under a mark, alone where one of its attempts ended with the process.

    Parameters
    ----------
    folder : Path
        Of the marks of a run.
    name : str
        Of the task; no dot.

    Raises
    ------
    StageError
        Where three attempts did.
    """
    died = len(list(folder.glob(f"{name}.*")))
    if died >= MAX_WORKER_DEATHS:
        raise StageError(
            f"{MAX_WORKER_DEATHS} workers died one after the other.",
            "It may need more memory than they have: give workers more, or set model.batch=1. What is done is kept.",
        )
    with _gate.enter(alone=died > 0):
        mark = folder / f"{name}.{uuid.uuid4().hex}"
        mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
