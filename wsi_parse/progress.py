"""The progress of a run: what receives it, the kinds of notes, and the seconds and errors of its stages."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self

from wsi_parse.cautions import Caution
from wsi_parse.errors import StageError, WsiParseError

logger = logging.getLogger(__name__)
#: Name of the logger of :func:`report_traceback`.
TRACEBACKS = "wsi_parse.traceback"

#: The stages of a run, in their order. "predict" and "outline" run side by side.
STAGES = ("tissue", "prepare", "predict", "outline", "export", "pictures")


class Progress(Protocol):
    """Receives the progress of a run, to show it."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of :data:`STAGES` with `total` steps."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Advance a stage by some steps."""

    def device(self, name: str) -> None:
        """Say where the model computes: the name of a processor or a GPU."""

    def workers(self, peak_bytes: int) -> None:
        """Say how much memory is held by workers that are not children of this process."""

    def note(self, text: str) -> None:
        """Show a text, which may be a :class:`Hint` or a :class:`Limitation`."""

    def caution(self, caution: Caution) -> None:
        """Show what is plausible but wrong."""


class Silent:
    """Ignores all progress."""

    def start(self, stage: str, total: int) -> None:
        """Ignore."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Ignore."""

    def device(self, name: str) -> None:
        """Ignore."""

    def workers(self, peak_bytes: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def caution(self, caution: Caution) -> None:
        """Ignore."""


class Hint(str):
    """A note that need not be repeated, such as how to get a better model: the command line says it once a day."""

    __slots__ = ()


class Limitation(str):
    """A note on how far the results of a model can be trusted: the command line shows its first sentence."""

    model: str = ""

    @classmethod
    def of(cls, text: str, model: str) -> Self:
        """Make a limitation of a model, whose card says more."""
        limitation = cls(text)
        limitation.model = model
        return limitation

    @property
    def first_sentence(self) -> str:
        """The first sentence, which is true without the others.

        >>> Limitation.of("It is experimental. For 3.5 % of the cells, it guesses.", "other").first_sentence
        'It is experimental.'
        """
        return re.split(r"(?<=[.!?])\s", self, maxsplit=1)[0]


def report_traceback(error: BaseException) -> None:
    """Tell whoever wants to see tracebacks where an error arose that others see as one line."""
    logging.getLogger(TRACEBACKS).info("%s", type(error).__name__, exc_info=error)


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
            seconds = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            logger.info("The stage %s took %.1f s.", name, seconds)


@contextmanager
def stage_named(slide: str, stage: str) -> Iterator[None]:
    """Turn a full disk or a lost folder into an error that names slide and stage."""
    try:
        yield
    except WsiParseError as error:
        error.stage = error.stage or stage
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        # The name without its folder, which may name a patient.
        what = f" ({Path(str(error.filename)).name})" if error.filename else ""
        raise StageError(
            f"{slide}: {stage} failed: {reason}{what}.",
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
