"""Waiting for workers: with a sentence now and then, and with an end where nothing can come any more."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distributed import Client

from wsi_parse.compute import cluster
from wsi_parse.errors import ClusterError
from wsi_parse.progress import duration

Say = Callable[[str], None]

_POLL_SECONDS = 0.2
# Jobs may wait for days: a sentence after a minute, ten minutes, an hour, and then every hour.
_SAY_AFTER_SECONDS = (60.0, 600.0, 3600.0)
_DEVICE_EVERY_SECONDS = 0.5

_CHECK_EVERY_SECONDS = 10.0
# A scheduler under heavy load answers late; one that has not answered for so long is given up.
_SILENT_SAID_SECONDS, _SILENT_MAX_SECONDS = 60.0, 600.0


def wait_for_a_worker(client: Client, say: Say, within_seconds: float | None) -> None:
    """Wait for the first worker; without end if `within_seconds` is None, because jobs may wait in a queue.

    Raises
    ------
    ClusterError
        None has joined in time, or none ever will: a cluster may have a method `problem` that knows.
    """
    started, said = time.monotonic(), 0
    while not _has_workers(client):
        waited = time.monotonic() - started
        if not said:
            say("Waiting for workers.")
        said = said or 1
        problem = getattr(client.cluster, "problem", lambda: None)()
        if problem is not None:
            raise problem
        if within_seconds is not None and waited >= within_seconds:
            raise ClusterError(
                f"The cluster of the client has had no worker for {within_seconds:.0f} s.",
                "Add workers to it, and run again.",
            )
        if waited >= _when(said):
            say(f"No worker has joined for {duration(waited)}: still waiting.")
            said += 1
        time.sleep(_POLL_SECONDS)


def _has_workers(client: Client) -> bool:
    try:
        return bool(cluster.workers_of(client))
    except OSError as error:
        raise ClusterError("The scheduler no longer answers.", cluster.RESTART) from error


def _when(number: int) -> float:
    """Return after how many seconds the sentence of that number (from 1) is said."""
    last = len(_SAY_AFTER_SECONDS)
    return _SAY_AFTER_SECONDS[number - 1] if number <= last else _SAY_AFTER_SECONDS[-1] * (number - last + 1)


def wait_for_a_device(client: Client, say: Say, within_seconds: float) -> None:
    """Wait for a worker that may run the model: others may join before it.

    Raises
    ------
    ClusterError
        Where none that may has joined `within_seconds` after the first worker, or the scheduler is gone.
    """
    until, said = time.monotonic() + within_seconds, False
    while not cluster.has_a_device(client):
        if time.monotonic() >= until:
            raise ClusterError(
                f"No worker of this cluster declares the resource {cluster.DEVICE}, which a worker needs to run the "
                "model.",
                f'Start workers with: dask worker SCHEDULER --resources "{cluster.DEVICE}=1" (in Python: '
                f'Client(resources={{"{cluster.DEVICE}": 1}})), or run the model on processors: '
                "--set model.device=cpu.",
            )
        if not said:
            say(
                f"No worker declares the resource {cluster.DEVICE} yet: waiting up to {within_seconds:.0f} s for one "
                "that can run the model."
            )
            said = True
        time.sleep(_DEVICE_EVERY_SECONDS)


@contextmanager
def watch_workers(client: Client, say: Say) -> Iterator[None]:
    """Report when no worker is left, and when there is one again; tasks wait for it, however long.

    A scheduler that keeps its connections open and answers nothing is reported, too. At last the client is closed, so
    that whoever waits for a task is told.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_Watch(client, say).run, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_CHECK_EVERY_SECONDS)


class _Watch:
    """What is known of a scheduler and its workers."""

    def __init__(self, client: Client, say: Say) -> None:
        self._client, self._say = client, say
        self._had_workers, self._lost_at, self._said = True, 0.0, 1
        self._answered, self._silence_said = time.monotonic(), False

    def run(self, ended: threading.Event) -> None:
        while not ended.wait(_CHECK_EVERY_SECONDS):
            if self._client.status != "running":
                return
            try:
                workers = len(cluster.workers_of(self._client))
            except TimeoutError:
                if self._gave_up():
                    return
            except (OSError, RuntimeError, ClusterError):
                continue
            else:
                self._note(workers)

    def _note(self, workers: int) -> None:
        now = time.monotonic()
        self._answered, self._silence_said = now, False
        if bool(workers) != self._had_workers:
            self._had_workers, self._lost_at, self._said = bool(workers), now, 1
            self._say("There are workers again." if workers else "No worker is left: waiting for another one.")
        elif not workers and now - self._lost_at >= _when(self._said):
            self._said += 1
            self._say(f"No worker has been there for {duration(now - self._lost_at)}: still waiting.")

    def _gave_up(self) -> bool:
        silent = time.monotonic() - self._answered
        if silent >= _SILENT_MAX_SECONDS:
            self._say(f"The scheduler has not answered for {duration(silent)}, and is given up.")
            self._client.close(timeout=1)
            return True
        if silent >= _SILENT_SAID_SECONDS and not self._silence_said:
            self._silence_said = True
            self._say(f"The scheduler has not answered for {duration(silent)}: still waiting.")
        return False
