"""A Dask cluster on this machine: threads of this process, or worker processes."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster

from wsi_parse.settings import ComputeSettings

DEVICE = "device"
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def local_client(settings: ComputeSettings, *, at_once: int | None = None) -> Iterator[Client]:
    """Start a cluster, give its client, and take all down again.

    Parameters
    ----------
    settings : ComputeSettings
        `workers` 0 runs threads of this process.
    at_once : int, optional
        Blocks that a worker predicts at once; as many as it has threads where this is None.
    """
    threads = settings.threads or os.cpu_count() or 1
    workers = max(1, settings.workers)
    each = max(1, threads // workers)
    # Own scratch, no dashboard, no spilling: tasks hand on a few numbers, never arrays.
    config = {
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.comm.timeouts.connect": "60s",
        "distributed.admin.log-length": 0,
        # Dask would also have freed memory given back at once: half of the time went into asking for it again.
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, 1),
    }
    with dask.config.set(config), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=each,
                processes=settings.workers > 0,
                resources={DEVICE: at_once or each},
                memory_limit=None,
                # A port of its own choice, on this machine only: two runs must not meet.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
