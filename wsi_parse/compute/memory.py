"""Peak memory of this process and its children, sampled."""

import ctypes
import gc
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from wsi_parse.compute.worker import Done

# Samples of the RSS alone before the PSS is asked for again; what counts as more RSS than before.
_MOST_SKIPPED, _MORE = 10, 1.01


class MemorySampler:
    """Samples the sum of PSS (shared pages counted once; RSS where the system has no PSS) while it is entered.

    Parameters
    ----------
    seconds : float
        Time between two samples.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self.peak_bytes = 0
        self._seconds = seconds
        self._most_resident: dict[tuple[int, ...], int] = {}
        self._skipped = 0
        # Of this process alone, when the PSS was asked for: RSS, private memory, PSS.
        self._alone: tuple[int, int, int] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._sample([psutil.Process(), *_children(psutil.Process())])
            if self._stop.wait(self._seconds):
                return

    def _sample(self, processes: list[psutil.Process]) -> None:
        """Add up the PSS of processes, where it may be more than before.

        The system walks through all pages to tell the PSS, which takes tens of milliseconds; the RSS it knows, and it
        is never less. Where the same processes hold hardly more RSS than they did, the PSS is asked for now and then
        only: pages that were shared may be private by now. A process without children shares hardly more than modules:
        while these stay as they are, its PSS grows as its private memory does. So the peak may be told up to 1 % wrong.
        """
        resident = sum(map(_resident_bytes, processes))
        which = tuple(process.pid for process in processes)
        self._skipped += 1
        if resident <= self.peak_bytes:
            return
        private = _private_bytes(processes[0]) if len(processes) == 1 else None
        if private is not None and self._alone is not None:
            resident_then, private_then, bytes_then = self._alone
            if abs((resident - private) - (resident_then - private_then)) <= (_MORE - 1) * resident:
                self.peak_bytes = max(self.peak_bytes, bytes_then + private - private_then)
                return
        if resident > _MORE * self._most_resident.get(which, 0) or self._skipped >= _MOST_SKIPPED:
            self._most_resident, self._skipped = {which: resident}, 0
            found = sum(map(_bytes_of, processes))
            self._alone = None if private is None else (resident, private, found)
            self.peak_bytes = max(self.peak_bytes, found)


class RemoteMemory:
    """Peak memory of processes that are not children of this one: workers of another machine or another parent."""

    def __init__(self) -> None:
        self._ours: set[str] = set()
        self._peaks: dict[str, int] = {}

    def note(self, done: "Done") -> None:
        """Take the memory that a task reports."""
        if done.process not in self._peaks and done.process not in self._ours:
            host, _, number = done.process.rpartition(":")
            ours = {os.getpid(), *(child.pid for child in _children(psutil.Process()))}
            if host == socket.gethostname() and int(number) in ours:
                self._ours.add(done.process)
                return
        if done.process not in self._ours:
            self._peaks[done.process] = max(self._peaks.get(done.process, 0), done.held_bytes)

    @property
    def peak_bytes(self) -> int:
        """Sum of the peaks of these processes."""
        return sum(self._peaks.values())


def release() -> None:
    """Return freed memory to the system, that of Arrow too; otherwise the process keeps what one stage used.

    Of garbage in cycles only what is young is looked for: going through all objects of all modules takes a tenth of a
    second, and found nothing that held memory.
    """
    gc.collect(1)
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def total_bytes(process: psutil.Process) -> int:
    """Return the sum of PSS of a process and all its children, in bytes."""
    return sum(_bytes_of(one) for one in [process, *_children(process)])


def _bytes_of(process: psutil.Process) -> int:
    with suppress(OSError):
        # Takes a tenth of the time of psutil, which adds up the mappings one by one.
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _resident_bytes(process)


def _resident_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _private_bytes(process: psutil.Process) -> int | None:
    """Return the memory of a process that holds no file, so that no other process shares it; None if unknown."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        # To list them, psutil looks at all processes of the system.
        return process.children(recursive=True) if _may_have_children(process.pid) else []
    except psutil.Error:
        return []


def _may_have_children(pid: int) -> bool:
    """Return whether any thread of a process has children, by what the system says; True if it says nothing."""
    told = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            told.append(children.read_text(encoding="ascii"))
    return any(told) or not told
