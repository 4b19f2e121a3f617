"""StageProgress and Facts: how far a stage is, where the model computes, how much memory is used; in words."""

import time

from wsi_parse.cli.text import counted
from wsi_parse.progress import duration

_MEMORY_EVERY_SECONDS = 2.0


class StageProgress:
    """How far a stage is: steps done, their rate, and the time left.

    Parameters
    ----------
    label : str
        What the user reads.
    unit : str
        Of the steps; empty if they are not worth counting.
    total : int or None
        Steps; None: not known yet.
    """

    def __init__(self, label: str, unit: str, total: int | None) -> None:
        self.label, self.total, self.done = label, total, 0
        self._unit = unit
        self._started = self._last = time.monotonic()
        self._first: tuple[float, int] | None = None

    def advance(self, steps: int) -> None:
        """Count steps."""
        self.done += steps
        self._last = time.monotonic()
        if self._first is None:
            # What the first step waited for, such as a model that is loaded, says nothing about the others.
            self._first = self._last, self.done

    @property
    def is_done(self) -> bool:
        """Whether all steps are done."""
        return self.total is not None and self.done >= self.total

    def count(self) -> str:
        """Say how many steps are done: "120 of 400 tiles"."""
        return f"{self.done:,} of {counted(self.total, self._unit)}" if self._unit and self.total else ""

    def time(self) -> str:
        """Say how fast it is, and how long it took or will take."""
        if self.is_done:
            return duration(self._last - self._started) if self.total else "nothing to do"
        now = time.monotonic()
        if not self._unit or self.total is None or self._first is None or self.done <= self._first[1]:
            return ""
        rate = (self.done - self._first[1]) / max(1e-6, now - self._first[0])
        speed = f"{rate:,.1f} {self._unit}s/s" if rate >= 1 else f"{1 / rate:,.1f} s per {self._unit}"
        return f"{speed} · about {duration((self.total - self.done) / rate)} left"

    def words(self) -> tuple[str, ...]:
        """Put all of it into words."""
        share = f"({self.done / self.total:.0%})" if self._unit and self.total else ""
        return tuple(part for part in (" ".join((self.label, self.count(), share)).strip(), self.time()) if part)


class Facts:
    """Where the model computes, and the memory that this process and its workers use."""

    def __init__(self) -> None:
        self.device = ""
        self.remote_bytes = 0
        self._bytes, self._measured = 0, float("-inf")

    def words(self) -> str:
        """Put them into words: "AMD EPYC 9334 · memory 1.20 GB"."""
        now = time.monotonic()
        if now - self._measured >= _MEMORY_EVERY_SECONDS:
            from psutil import Process

            from wsi_parse.compute.memory import total_bytes

            self._bytes, self._measured = total_bytes(Process()), now
        memory = f"memory {(self._bytes + self.remote_bytes) / 1e9:.2f} GB"
        return f"{self.device} · {memory}" if self.device else memory
