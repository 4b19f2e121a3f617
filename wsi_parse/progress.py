"""The progress of a run: the Progress protocol that receives it, and the seconds and errors of its stages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from wsi_parse.errors import StageError, WsiParseError


class Progress(Protocol):
    """Receives the progress of a run, to show it."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` steps."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Advance a stage by some steps."""

    def note(self, text: str) -> None:
        """Show a text."""


class Silent:
    """Ignores all progress."""

    def start(self, stage: str, total: int) -> None:
        """Ignore."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@dataclass
class Clock:
    """Measures the seconds that each stage takes."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the body takes to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@contextmanager
def stage_named(slide: str, stage: str) -> Iterator[None]:
    """Turn a full disk or a lost folder into an error that names slide and stage."""
    try:
        yield
    except WsiParseError as error:
        error.stage = error.stage or stage
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StageError(
            f"{slide}: {stage} failed: {reason}",
            "Correct the cause, and run the same command again. Finished work is kept.",
            stage,
        ) from error


def duration(seconds: float) -> str:
    """Put seconds into the two units that matter.

    >>> duration(59.6), duration(3 * 3600 + 125), duration(90000)
    ('1 min 0 s', '3 h 2 min', '1 d 1 h')
    """
    left = round(seconds)
    for (large, size), (small, part) in pairwise((("d", 86400), ("h", 3600), ("min", 60), ("s", 1))):
        if left >= size:
            return f"{left // size} {large} {left % size // part} {small}"
    return f"{left} s"
