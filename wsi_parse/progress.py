"""How a run goes: whom it tells, how long each stage took, and which one failed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from wsi_parse.errors import StageError, WsiParseError


class Progress(Protocol):
    """Who wants to know how a run goes."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` steps."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Go on by some steps."""

    def note(self, text: str) -> None:
        """Say something once."""


class Silent:
    """Tells nobody."""

    def start(self, stage: str, total: int) -> None:
        """Ignore."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@dataclass
class Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the body takes to a stage."""
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
            "Mend that and run again: what is done is kept.",
            stage,
        ) from error
