"""Cluster: a Dask client that is there when it is asked for, on whatever runs the tasks."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from wsi_parse.compute.check import WorkerCheck
from wsi_parse.compute.scheduler import existing
from wsi_parse.errors import ClusterError
from wsi_parse.registry import CLUSTERS
from wsi_parse.settings import ComputeSettings

#: What workers declare that may run the model; Dask's usual word for it, also where the device is a processor.
DEVICE = "GPU"
# A block on which so many workers died is what kills them.
DEADLY = 3
_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": DEADLY - 1,
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.log-length": 0,
    # Tasks hand on a few numbers, never arrays: nothing to spill.
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}

Starter = Callable[[ComputeSettings, int | None, Path], AbstractContextManager[Client]]


class Cluster:
    """Where tasks run; started when a client is first asked for, ended with the context.

    Parameters
    ----------
    settings : ComputeSettings
    folder : Path
        For what a batch system logs.
    say : callable, optional
        Told once where the dashboard is, and what is waited for.
    """

    def __init__(self, settings: ComputeSettings, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self._folder, self._say = folder, say
        self._stack, self._lock = ExitStack(), threading.Lock()
        self._client: Client | None = None
        self._checked: set[object] = set()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def client(self, at_once: int | None = None) -> Client:
        """Give the client; the first call starts the cluster.

        Parameters
        ----------
        at_once : int, optional
            Blocks that a worker predicts at once, where we start the workers; as many as it has threads where None.

        Raises
        ------
        ClusterError
            Where no worker can be had that runs the model, or the scheduler is gone.
        """
        with self._lock:
            if self._client is None:
                self._client = self._started(at_once)
            if self._client.status not in {"running", "connecting"}:
                raise ClusterError(f"The scheduler of {self.settings.cluster} is gone.", "Start it, and run again.")
            return self._client

    @property
    def is_here(self) -> bool:
        """Whether tasks run on this machine, started by us."""
        return self.settings.cluster == "local"

    def check(self, check: WorkerCheck) -> None:
        """Let every worker look, once, whether it can do the work; one that joins later and cannot is refused.

        Raises
        ------
        ClusterError
            What the first one lacks.
        """
        client = self.client()
        with self._lock:
            if check.subject in self._checked:
                return
            self._register(client, check)
            self._checked.add(check.subject)
            # Workers that join later for somebody else are none of our business.
            self._stack.callback(_forgotten, client, check.name)

    @staticmethod
    def _register(client: Client, check: WorkerCheck) -> None:
        try:
            client.register_plugin(check)
        except ClusterError:
            raise
        except Exception as error:
            raise ClusterError(
                f"A worker cannot do the work: {type(error).__name__}: {error}",
                "Install this version of wsi-parse on all workers.",
            ) from error

    def _started(self, at_once: int | None) -> Client:
        settings = self.settings
        self._stack.enter_context(dask.config.set(_CONFIG))
        starter: Starter = existing if "://" in settings.cluster else CLUSTERS.get(settings.cluster)
        client = self._stack.enter_context(starter(settings, at_once, self._folder))
        in_this_process = self.is_here and settings.workers == 0
        if not in_this_process and "dashboard" in client.scheduler_info(n_workers=0)["services"]:
            self._say(f"Dashboard: {client.dashboard_link}")
        _wait_for_a_device(client, self._say)
        return client


def _forgotten(client: Client, name: str) -> None:
    if client.status == "running":
        with suppress(OSError, TimeoutError):
            client.unregister_worker_plugin(name)


def _wait_for_a_device(client: Client, say: Callable[[str], None]) -> None:
    """Wait for the first worker, and see that one may run the model."""
    if not workers_of(client):
        say("Waiting for workers.")
        client.wait_for_workers(1)
    if not any(DEVICE in worker["resources"] for worker in workers_of(client).values()):
        raise ClusterError(
            f"No worker of this cluster declares the resource {DEVICE}, so none may run the model.",
            f'Start those that may with: dask worker SCHEDULER --resources "{DEVICE}=1"',
        )


def workers_of(client: Client) -> dict[str, dict[str, Any]]:
    """Address -> what the scheduler knows of each worker."""
    found: dict[str, dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    return found
