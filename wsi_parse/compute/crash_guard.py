"""Crash guard: a task leaves a mark file while it runs, so that the tasks of a process that died are known.

Tasks that ran when a process died are suspects, and each runs alone in its process from then on, so that the next crash
has one clear cause. The scheduler's own count cannot distinguish a block that kills workers from one beside it.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsi_parse.errors import StageError

#: A task is to blame, and fails, when this number of workers died while it ran.
MAX_WORKER_DEATHS = 3


class _ExclusiveGate:
    """Lets many tasks run at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running, self._alone = 0, False

    @contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not (alone and self._running))
            self._running, self._alone = self._running + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._running, self._alone = self._running - 1, False
                self._changed.notify_all()


_gate = _ExclusiveGate()


@contextmanager
def crash_guard(folder: Path, name: str) -> Iterator[None]:
    """Run a task under a mark file; alone, if a process died during an earlier attempt.

    Parameters
    ----------
    folder : Path
        Holds the marks of a run.
    name : str
        Of the task; without a dot.

    Raises
    ------
    StageError
        If the process died in `MAX_WORKER_DEATHS` attempts.
    """
    died = len(list(folder.glob(f"{name}.*")))
    if died >= MAX_WORKER_DEATHS:
        raise StageError(
            f"{MAX_WORKER_DEATHS} workers died one after the other.",
            "Give the workers more memory, or add --set model.batch=1. Finished work is kept.",
        )
    with _gate.enter(alone=died > 0):
        mark = folder / f"{name}.{uuid.uuid4().hex}"
        mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
