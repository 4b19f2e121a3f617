"""A Dask cluster on this machine: threads of this process, worker processes, or one worker per GPU."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Nanny, Security, SpecCluster

from wsi_parse.compute import cluster
from wsi_parse.compute.gpus import number_of_gpus
from wsi_parse.compute.private import LOOPBACK, PrivateScheduler, PrivateWorker, credentials, private_options
from wsi_parse.compute.threads import first_cause, not_started
from wsi_parse.settings import ComputeSettings

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_QUIET = {"silence_logs": logging.CRITICAL}


@contextmanager
def local(settings: ComputeSettings, at_once: int | None, folder: Path) -> Iterator[Client]:
    """Start workers, yield their client, and stop them at the end.

    Worker processes are reached through TLS, with credentials that are made for this cluster; threads need no
    connection at all.

    Parameters
    ----------
    settings : ComputeSettings
        `workers` 0 runs threads of this process or, with several GPUs and dask-cuda, one process per GPU.
    at_once : int or None
        Blocks that a worker predicts at once; None: one per thread.
    folder : Path
        Not used.
    """
    del folder
    threads = settings.threads or os.cpu_count() or 1
    gpus = number_of_gpus() if settings.workers == 0 else 0
    workers = gpus if gpus > 1 else max(1, settings.workers)
    each = max(1, threads // workers)
    # The default of Dask also returns freed memory at once: half of the time then goes into requesting it again.
    config = {"distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, 1)}
    with dask.config.set(config), warnings.catch_warnings():
        # Dask leaves sockets of its own to the garbage collector; warnings of anything else are shown.
        warnings.filterwarnings("ignore", r"unclosed (<socket|transport|<asyncio|event loop)", ResourceWarning)
        # It says in its words what our error says.
        warnings.filterwarnings("ignore", "resource_tracker: process died unexpectedly", UserWarning)
        options = {"resources": {cluster.DEVICE: at_once or each}, "memory_limit": None}
        page = LOOPBACK if settings.dashboard else None
        try:
            if gpus > 1:
                starting = _on_gpus(workers, each, {**options, **private_options(dashboard=settings.dashboard)})
            else:
                starting = _on_processors(workers, each, page, options, processes=settings.workers > 0)
        except (RuntimeError, OSError, EOFError) as error:
            cause = first_cause(error)
            raise not_started(cause, processes=settings.workers > 0 or gpus > 1) from cause
        with starting as started, closing(Client(started, set_as_default=False)) as client:
            yield client


def _on_processors(workers: int, threads: int, page: str | None, options: dict[str, Any], *, processes: bool) -> Any:  # noqa: ANN401
    security = credentials() if processes else Security(require_encryption=False)
    where = {"protocol": "tls://", "host": "127.0.0.1"} if processes else {"protocol": "inproc://"}
    worker: dict[str, Any] = {**options, **where, **_QUIET, "security": security, "nthreads": threads}
    kind = {"cls": PrivateWorker, "options": worker}
    if processes:
        kind = {"cls": Nanny, "options": {**worker, "worker_class": PrivateWorker}}
    pages = {"dashboard": page is not None, "dashboard_address": page}
    scheduler = {"cls": PrivateScheduler, "options": {**where, **pages, "security": security}}
    return SpecCluster(dict.fromkeys(range(workers), kind), scheduler=scheduler, security=security, **_QUIET)


def _on_gpus(workers: int, threads: int, options: dict[str, Any]) -> Any:  # noqa: ANN401
    from dask_cuda import LocalCUDACluster

    return LocalCUDACluster(
        n_workers=workers,
        threads_per_worker=threads,
        worker_class=PrivateWorker,
        **_QUIET,
        **options,
    )
