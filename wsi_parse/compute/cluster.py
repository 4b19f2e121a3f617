"""Cluster: starts what does the tasks when it is needed first: threads of this process, or any Dask client."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsi_parse.compute.dask_settings import import_dask
from wsi_parse.compute.gpus import number_of_gpus
from wsi_parse.compute.threads import ThreadWorkers
from wsi_parse.compute.worker import forget
from wsi_parse.errors import ClusterError, StageError
from wsi_parse.registry import CLUSTERS, MODELS, plugin_named
from wsi_parse.settings import ComputeSettings, ModelSettings

if TYPE_CHECKING:
    from distributed import Client

    from wsi_parse.compute.worker_check import WorkerCheck

#: The Dask resource of workers that may run the model; it has this name even if the device is a CPU.
DEVICE = "GPU"
_CONFIG: dict[str, Any] = {
    # We count ourselves (see crash_guard): the scheduler also blames tasks that ran beside the one that kills workers.
    "distributed.scheduler.allowed-failures": 100,
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.log-length": 0,
    # How often each event loop looks whether it answers; by default fifty times a second.
    "distributed.admin.tick.interval": "500ms",
    # Tasks return a few numbers, never arrays: there is nothing to spill.
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}

_MAX_CHECKS = 5
# How long a scheduler may take to answer a question.
_ANSWERS_WITHIN_SECONDS = 60.0
# A worker that may run the model joins this long after the first one; nodes with a GPU often start more slowly.
_DEVICE_WITHIN_SECONDS = 120.0
# The first worker of a client that a user gives joins within this time.
_GIVEN_WITHIN_SECONDS = 60.0

Starter = Callable[[ComputeSettings, int | None, Path], AbstractContextManager["Client"]]

#: What to do if the scheduler is lost.
RESTART = "Start it again, and run the same command again. Finished work is kept."


def _needs_device(settings: ModelSettings) -> bool:
    return bool(MODELS.get(settings.name).uses_device) and settings.device != "cpu"


def resources_for(client: "Client", settings: ModelSettings) -> dict[str, int]:
    """Return what a task that runs a model asks of its worker: a device, or nothing.

    Parameters
    ----------
    client : distributed.Client
    settings : ModelSettings
        With the name of a model in place of "auto".

    Notes
    -----
    A network that was told to run on processors still goes to workers with a device, if there are any: they run as many
    tasks at once as the device was declared for.
    """
    if not MODELS.get(settings.name).uses_device:
        return {}
    return {DEVICE: 1} if _needs_device(settings) or has_a_device(client) else {}


class Cluster:
    """Where tasks run; started when a client is first needed, closed with the context.

    Parameters
    ----------
    settings : ComputeSettings
    folder : Path
        For the logs of a batch system.
    say : callable, optional
        Receives messages: where the dashboard is, and what the run waits for.
    model : ModelSettings, optional
        With the name of a model in place of "auto": whether a worker must declare the resource :data:`DEVICE` depends
        on it. Without it, one must.
    given : distributed.Client, optional
        A client of the user's own. Its scheduler is used instead of the one in the settings; it is never closed.
    """

    def __init__(
        self,
        settings: ComputeSettings,
        folder: Path,
        say: Callable[[str], None] = lambda _: None,
        *,
        model: ModelSettings | None = None,
        given: "Client | None" = None,
    ) -> None:
        self.settings = settings
        self._folder, self._say = folder, say
        self._model, self._given = model, given
        self._stack, self._lock = ExitStack(), threading.Lock()
        self._client: Client | None = None
        self._threads: ThreadWorkers | None = None
        if not self.is_in_threads:
            # Settings of Dask that cannot be read are an error before any work.
            import_dask()
        self._checked: set[object] = set()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; nothing may be asked of them afterwards."""
        self._stack.close()

    @property
    def is_in_threads(self) -> bool:
        """Whether threads of this process do the tasks, so that Dask is not needed."""
        settings = self.settings
        return self.is_here and not settings.workers and not settings.dashboard and number_of_gpus() <= 1

    def workers(self, at_once: int | None = None) -> "ThreadWorkers | Client":
        """Return what does the tasks of a run: threads of this process if that is all there is to it, else a client.

        Parameters
        ----------
        at_once : int, optional
            As for :meth:`client`.

        Raises
        ------
        ClusterError
            As :meth:`client` does.
        """
        if not self.is_in_threads:
            return self.client(at_once)
        with self._lock:
            if self._threads is None:
                threads = self.settings.threads or os.cpu_count() or 1
                self._threads = ThreadWorkers(threads, at_once or threads)
                self._stack.callback(self._threads.close)
            return self._threads

    def client(self, at_once: int | None = None) -> "Client":
        """Return the client; the first call starts the cluster.

        Parameters
        ----------
        at_once : int, optional
            Blocks that a worker predicts at once, if we start the workers; None: as many as it has threads.

        Raises
        ------
        ClusterError
            If no worker can run the model, or the scheduler is gone.
        """
        with self._lock:
            if self._client is None:
                self._client = self._start(at_once)
            if self._client.status not in {"running", "connecting"}:
                raise ClusterError(f"The scheduler of {self._name} no longer answers.", RESTART)
            return self._client

    def abandon(self) -> None:
        """Close the client, so that nobody waits for a task any longer."""
        with self._lock:
            if self._threads is not None:
                self._threads.abandon()
            if self._client is not None:
                self._client.close(timeout=1)

    def forget(self, plan: Path) -> None:
        """Let the workers drop what they hold of a run that ended; workers that are gone hold nothing."""
        with self._lock, suppress(OSError, TimeoutError, ValueError):
            if self._client is not None and self._client.status == "running":
                self._client.run(forget, str(plan), on_error="ignore")

    @property
    def is_here(self) -> bool:
        """Whether tasks run on this machine, started by us."""
        return self._given is None and self.settings.cluster == "local"

    @property
    def _name(self) -> str:
        return self.settings.cluster if self._given is None else "the client"

    def check(self, check: "WorkerCheck") -> None:
        """Let every worker check once that it can do the work; one that joins later and cannot is refused.

        Raises
        ------
        ClusterError
            Says what the first failing worker lacks.
        StageError
            If a worker cannot read this slide; it may be able to read others.
        """
        client = self.client()
        with self._lock:
            if check.subject in self._checked:
                return
            try:
                self._register(client, check)
            except StageError:
                _unregister(client, check.name)
                raise
            self._checked.add(check.subject)
            # Workers that join the same scheduler after our run need no check of ours.
            self._stack.callback(_unregister, client, check.name)

    @staticmethod
    def _register(client: "Client", check: "WorkerCheck") -> None:
        left = _MAX_CHECKS
        while True:
            try:
                client.register_plugin(check)
                return
            except (ClusterError, StageError):
                raise
            except Exception as error:
                left -= 1
                if isinstance(error, OSError) and left and client.status == "running":
                    # A worker left during the check; another one takes its place, and is checked when it starts.
                    time.sleep(1)
                    continue
                raise ClusterError(
                    f"A worker cannot do the work: {type(error).__name__}: {error}",
                    "Install this version of wsi-parse on all workers.",
                ) from error

    def _start(self, at_once: int | None) -> "Client":
        import_dask()
        import dask

        from wsi_parse.compute.private import only_our_settings
        from wsi_parse.compute.running_scheduler import beside, connect
        from wsi_parse.compute.waiting import wait_for_a_device, wait_for_a_worker, watch_workers

        settings, is_address = self.settings, "://" in self.settings.cluster
        is_ours = self._given is None and not is_address
        if is_ours:
            self._stack.enter_context(only_our_settings(dashboard=settings.dashboard))
        # The profiler looks at all threads a hundred times a second, and its results are for the dashboard alone.
        profiler = {"distributed.worker.profile.enabled": settings.dashboard}
        self._stack.enter_context(dask.config.set({**_CONFIG, **profiler}))
        if self._given is not None:
            client = self._stack.enter_context(beside(self._given))
        else:
            starter: Starter = connect if is_address else CLUSTERS.get(settings.cluster)
            with plugin_named("cluster", settings.cluster):
                client = self._stack.enter_context(starter(settings, at_once, self._folder))
        in_this_process = self.is_here and settings.workers == 0
        page = client.scheduler_info(n_workers=0)["services"].get("dashboard")
        if page is not None and (settings.dashboard or not is_ours):
            # Ours listens on this machine only, wherever its scheduler does.
            self._say(f"Dashboard: {f'http://127.0.0.1:{page}/status' if is_ours else client.dashboard_link}")
        wait_for_a_worker(client, self._say, None if self._given is None else _GIVEN_WITHIN_SECONDS)
        if self._model is None or _needs_device(self._model):
            # Who gives a client of their own has started its workers.
            wait_for_a_device(client, self._say, _DEVICE_WITHIN_SECONDS if self._given is None else 0.0)
        if not in_this_process:
            self._stack.enter_context(watch_workers(client, self._say))
        return client


def _unregister(client: "Client", name: str) -> None:
    if client.status == "running":
        with suppress(OSError, TimeoutError):
            client.unregister_worker_plugin(name)


def has_a_device(client: "Client") -> bool:
    """Return whether a worker declares the resource :data:`DEVICE`.

    Raises
    ------
    ClusterError
        If the scheduler is gone.
    """
    try:
        return any(DEVICE in worker["resources"] for worker in workers_of(client).values())
    except OSError as error:
        raise ClusterError("The scheduler no longer answers.", RESTART) from error


def workers_of(client: "Client") -> dict[str, dict[str, Any]]:
    """Map each worker's address to what the scheduler knows of it.

    Raises
    ------
    OSError
        If the scheduler is gone; TimeoutError if it is there and does not answer.
    """
    answer = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWERS_WITHIN_SECONDS)
    found: dict[str, dict[str, Any]] = answer["workers"]
    return found
